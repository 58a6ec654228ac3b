"""Other programs: how long they take, and what they cost the machine."""

from __future__ import annotations

import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path


class Trouble(Exception):
    """Why something can't be measured, for people."""


KEPT = 1 << 20
"""So many first bytes of a pipe are kept for whoever wants to look at them."""


@dataclass(frozen=True)
class Cost:
    seconds: float
    """From the start of the first process to the end of the last one and of what it wrote."""
    processor: float
    """Seconds of processor time, user's and system's, of all processes."""
    bytes: int
    """That came through the pipe, if it was one."""


def run_into(
    commands: list[list[str]], path: Path | None, keep: bytearray | None = None
) -> Cost:
    """Runs a pipeline into a file, or into a pipe whose bytes are counted."""
    output = (
        os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644) if path else None
    )
    started = time.monotonic()
    processes: list[subprocess.Popen] = []
    try:
        start_all(commands, output, processes)
        count = drain(processes[-1].stdout.fileno(), keep) if output is None else 0
        processor = sum(wait(process) for process in processes)
        elapsed = time.monotonic() - started
    finally:
        for process in processes:
            if process.poll() is None:
                process.kill()
                process.wait()
            if process.stdout:
                process.stdout.close()
        if output is not None:
            os.close(output)
    # Those before the last one end by a signal when it has had enough.
    if code := processes[-1].returncode:
        raise Trouble(f"`{' '.join(commands[-1])}` ended with {code}")
    return Cost(elapsed, processor, count)


def start_all(
    commands: list[list[str]], output: int | None, processes: list[subprocess.Popen]
) -> None:
    """Starts a pipeline, whose processes are added to the list as they start."""
    for command in commands:
        last = command is commands[-1]
        before = processes[-1] if processes else None
        processes.append(
            subprocess.Popen(
                command,
                stdin=before.stdout if before else subprocess.DEVNULL,
                stdout=output if last and output is not None else subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        )
        # Only the reader may hold this end, or the writer would never learn that it has gone.
        if before:
            before.stdout.close()


def wait(process: subprocess.Popen) -> float:
    """Waits for a process to end; says how much processor time it took, in seconds."""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_utime + usage.ru_stime


def drain(descriptor: int, keep: bytearray | None) -> int:
    """Reads a pipe to its end and says how many bytes that were."""
    buffer = bytearray(1 << 18)
    count = 0
    while taken := os.readv(descriptor, [buffer]):
        count += taken
        if keep is not None and len(keep) < KEPT:
            keep += buffer[:taken]
    return count


def processor_seconds(pid: int) -> float:
    """What a process has used so far, ended threads included (fields 14 and 15 of its stat)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory(pid: int) -> dict[str, int]:
    """The resident memory of a process now and at its peak, in bytes, and its threads."""
    status = Path(f"/proc/{pid}/status").read_text()
    fields = dict(line.split(":", 1) for line in status.splitlines())
    kilobytes = {name: int(fields[name].split()[0]) for name in ("VmRSS", "VmHWM")}
    return {
        "resident": kilobytes["VmRSS"] * 1024,
        "peak": kilobytes["VmHWM"] * 1024,
        "threads": int(fields["Threads"]),
    }
