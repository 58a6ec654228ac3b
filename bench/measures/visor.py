"""`visor run`, as a process whose metrics can be asked for."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from .process import Trouble
from .settings import Settings

T = TypeVar("T")

TIMEOUT = 30
"""Seconds to wait for something that ought to happen at once."""
SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$", re.MULTILINE)
LABEL = re.compile(r'(\w+)="([^"]*)"')


@dataclass(frozen=True)
class Sample:
    name: str
    labels: dict[str, str]
    value: float


class Metrics:
    """What /metrics answered, and when (seconds of the monotonic clock)."""

    def __init__(self, text: str, at: float) -> None:
        self.at = at
        self.samples = [
            Sample(name, dict(LABEL.findall(labels or "")), float(value))
            for name, labels, value in SAMPLE.findall(text)
        ]

    def each(self, name: str, **labels: str) -> Iterator[Sample]:
        for sample in self.samples:
            if sample.name == name and labels.items() <= sample.labels.items():
                yield sample

    def sum(self, name: str, **labels: str) -> float:
        return sum(sample.value for sample in self.each(name, **labels))


@dataclass(frozen=True)
class Visor:
    pid: int
    address: str

    def metrics(self) -> Metrics:
        asked = time.monotonic()
        # Without a proxy that the environment may name: this never leaves the machine.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"http://{self.address}/metrics", timeout=TIMEOUT) as answer:
            text = answer.read().decode()
        return Metrics(text, (asked + time.monotonic()) / 2)


def access(name: str, streams: list[dict], output: dict) -> dict:
    """A generator of an access log."""
    return {"name": name, "access": {}, "streams": streams, "output": output}


def stream(name: str, interval: dict) -> dict:
    return {"name": name, "kind": "Access", "interval": interval}


def document(generators: list[dict], name: str = "bench", **spec: object) -> str:
    """A FakeLogSource, as JSON (which is YAML)."""
    return json.dumps(
        {
            "apiVersion": "visor.dev/v1alpha1",
            "kind": "FakeLogSource",
            "metadata": {"name": name},
            "spec": {"seed": 1, "generators": generators, **spec},
        }
    )


@contextmanager
def running(
    settings: Settings,
    name: str,
    text: str,
    threads: int | None = None,
    into_nothing: Iterable[str] = (),
) -> Iterator[Visor]:
    """Runs a document on so many event loops until the block ends, its files below a directory of
    this name, some of them being the null device."""
    home = settings.directory / name
    home.mkdir()
    path, diagnostics = home / "document.yaml", home / "diagnostics"
    path.write_text(text)
    for log in into_nothing:
        device = home / "logs" / log
        device.parent.mkdir(exist_ok=True)
        try:
            # Not a link to /dev/null, which wouldn't be followed.
            os.mknod(device, stat.S_IFCHR | 0o666, os.stat(os.devnull).st_rdev)
        except PermissionError as error:
            raise Trouble(f"{device}: only root can create a device") from error
    command = [
        settings.binary,
        "--logging-format",
        "json",
        "run",
        "-f",
        path,
        "--output-dir",
        home / "logs",
        "--listen",
        "127.0.0.1:0",
        *([] if threads is None else ["--threads", str(threads)]),
    ]
    with diagnostics.open("wb") as errors:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors
        )

    def address() -> str | None:
        if process.poll() is not None:
            raise Trouble(f"visor ended:\n{diagnostics.read_text()}")
        found = re.search(r'"listening","address":"([^"]+)"', diagnostics.read_text())
        return found and found[1]

    try:
        visor = Visor(process.pid, wait_for("visor to listen", address))
        # From here on it is the steady state that is measured.
        wait_for("the first lines", lambda: visor.metrics().sum("visor_lines_total"))
        yield visor
    finally:
        process.terminate()
        try:
            process.wait(TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for(what: str, happened: Callable[[], T | None]) -> T:
    """Waits until something is there, and returns it."""
    limit = time.monotonic() + TIMEOUT
    while time.monotonic() < limit:
        if found := happened():
            return found
        time.sleep(0.01)
    raise Trouble(f"waited {TIMEOUT} s for {what}, in vain")
