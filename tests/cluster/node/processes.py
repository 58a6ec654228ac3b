"""The cluster's processes: started, found again by another call of the program, ended.

Each is recorded in pid/ with its command and with when it was born, so that a later process with
the same number isn't mistaken for it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from node import cgroups, settings
from node.files import command, read_json, write


def born(pid: int) -> str | None:
    """When a process was born, in the kernel's count; None if it is gone or about to go."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]


def find(name: str) -> int | None:
    """The number of a daemon's process, if it runs."""
    record = read_json(settings.PID / name)
    alive = record.get("born") is not None and born(record["pid"]) == record["born"]
    return record["pid"] if alive else None


def inside() -> list[str]:
    """The words before a command that is to run in the node's namespaces."""
    node = find("node")
    if node is None:
        raise SystemExit(f"cluster: {settings.NAME} is not up")
    return ["nsenter", "--target", str(node), "--mount", "--net", "--"]


def spawn(name: str, *words: str | Path) -> None:
    """Starts a daemon in the node's namespaces; its output is log/NAME.log."""
    start(name, [*inside(), *map(str, words)])


def start(name: str, words: list[str]) -> int:
    """Starts a daemon by its whole command."""
    settings.LOG.mkdir(parents=True, exist_ok=True)
    with (settings.LOG / f"{name}.log").open("ab") as log:
        child = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            env=settings.environment(),
            start_new_session=True,
            preexec_fn=cgroups.join,
        )
    record = {"pid": child.pid, "born": born(child.pid), "words": words}
    write(settings.PID / name, record)
    return child.pid


def start_again(name: str) -> None:
    """Starts a daemon that was stopped, as it was started first."""
    if find(name) is not None:
        raise SystemExit(f"cluster: {name} is running")
    words = json.loads((settings.PID / name).read_text())["words"]
    start(name, [*inside(), *words[words.index("--") + 1 :]])


def stop(name: str) -> None:
    """Kills a daemon, at once and without a word, and waits until it is gone."""
    pid = find(name)
    if pid is None:
        raise SystemExit(f"cluster: there is no {name} running")
    kill(pid, lambda: find(name) == pid)
    while find(name) == pid:
        time.sleep(0.01)


def alive() -> set[int]:
    """All processes of the cluster."""
    recorded = [find(file.name) for file in settings.PID.glob("*")] if settings.PID.exists() else []
    pids = {pid for pid in recorded if pid is not None}
    return {pid for pid in pids | cgroups.members() if born(pid)}


def end_all(deadline: float) -> None:
    """Kills all processes of the cluster."""
    while pids := alive():
        for pid in pids:
            kill(pid, lambda pid=pid: pid in alive())
        if time.monotonic() > deadline:
            raise SystemExit(f"cluster: these processes cannot be killed: {pids}")
        time.sleep(0.02)


def kill(pid: int, is_ours: Callable[[], bool]) -> None:
    """Kills a process, unless it has ended and its ID belongs to another one: a process that is
    held by a descriptor cannot be confused after it was checked."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        if is_ours():
            signal.pidfd_send_signal(process, signal.SIGKILL)
    except ProcessLookupError:
        pass
    finally:
        os.close(process)


def wait(what: str, daemon: str, condition: Callable[[], bool], timeout: float = 120) -> None:
    """Waits for what a daemon is to bring about; shows the end of its log if it doesn't."""
    deadline = time.monotonic() + timeout
    while not condition():
        if find(daemon) is None or time.monotonic() > deadline:
            state = "has ended" if find(daemon) is None else "is still at it"
            log = settings.LOG / f"{daemon}.log"
            tail = command("tail", "-n", "25", log)
            raise SystemExit(f"cluster: waited until {what}, but {daemon} {state}\n{log}:\n{tail}")
        time.sleep(0.05)
