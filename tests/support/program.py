"""The program under test as a process: it is started and watched, gets signals, and its output is
read."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from support.metrics import Metrics, Watch
from support.waiting import TIMEOUT, wait_for

BINARY = os.environ.get("VISOR_BIN") or str(
    Path(__file__).parents[2] / "target" / "static" / "visor"
)


def visor(*arguments: str | Path, stdin: str = "", **more: Any) -> subprocess.CompletedProcess:
    """Runs the program to its end. Its output is bytes, its diagnostics are text."""
    done = subprocess.run(
        [BINARY, *map(str, arguments)],
        input=stdin.encode(),
        capture_output=True,
        timeout=TIMEOUT * 2,
        **more,
    )
    done.stderr = done.stderr.decode()
    return done


def fields_of(line: str) -> dict[str, Any]:
    """The fields of a diagnostic in JSON."""
    event = json.loads(line)
    assert isinstance(event, dict), line
    return event.get("fields", event)


@dataclass(frozen=True)
class Written:
    """What a stream wrote, by the program's own summary."""

    lines: int
    bytes: int


Summary = dict[tuple[str, str, str], Written]


def summary_of(diagnostics: str) -> Summary:
    """The summary at the program's end, by source, generator and stream."""
    summary: Summary = {}
    for line in diagnostics.splitlines():
        event = fields_of(line)
        if {"source", "generator", "stream", "kind", "lines", "bytes"} <= event.keys():
            key = (event["source"], event["generator"], event["stream"])
            assert key not in summary, f"twice in the summary: {key}"
            summary[key] = Written(int(event["lines"]), int(event["bytes"]))
    return summary


def by_generator(summary: Summary) -> Counter[str]:
    """The lines of each generator."""
    total: Counter[str] = Counter()
    for (_, generator, _), written in summary.items():
        total[generator] += written.lines
    return total


class Running:
    """`visor run` as a process of its own, with diagnostics in JSON and metrics on a free port."""

    def __init__(
        self,
        directory: Path,
        document: Path,
        *arguments: str | Path,
        stdout: int | IO[bytes] = subprocess.DEVNULL,
    ) -> None:
        """`directory` is where logs/ and the diagnostics go."""
        self.logs = directory / "logs"
        self.diagnostics = directory / "diagnostics.jsonl"
        self.report = directory / "emitted.json"
        self.diagnostics.unlink(missing_ok=True)
        with self.diagnostics.open("wb") as stderr:
            self.process = subprocess.Popen(
                [
                    *(BINARY, "run", "-f", document, "--output-dir", self.logs),
                    *("--listen", "127.0.0.1:0", "--logging-format", "json"),
                    *(() if "--report" in arguments else ("--report", self.report)),
                    *arguments,
                ],
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                cwd=directory,
            )
        self._watch: Watch | None = None

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()

    def events(self) -> list[dict[str, Any]]:
        """The diagnostics so far."""
        lines = self.diagnostics.read_text().split("\n")[:-1]
        return [fields_of(line) for line in lines]

    def _address(self) -> str | None:
        assert self.process.poll() is None, self.diagnostics.read_text()
        return next((e["address"] for e in self.events() if e.get("message") == "listening"), None)

    @property
    def address(self) -> str:
        """Where the metrics are."""
        return self.watch.address

    @property
    def watch(self) -> Watch:
        if self._watch is None:
            self._watch = Watch(wait_for("the metrics' address in the log", self._address))
        return self._watch

    def metrics(self) -> Metrics:
        """The metrics now; fails if a counter went back since the last time."""
        return self.watch.scrape()

    def wait_for_lines(self, count: int, **labels: str) -> Metrics:
        """Waits until so many *more* lines are written by the streams with these labels."""
        wanted = self.metrics().lines(**labels) + count

        def reached() -> Metrics | None:
            metrics = self.metrics()
            return metrics if metrics.lines(**labels) >= wanted else None

        return wait_for(f"{count} more lines of {labels or 'any stream'}", reached)

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self) -> int:
        """Waits for the end and returns the exit code."""
        return self.process.wait(TIMEOUT)

    def stop(self) -> Summary:
        """Ends the program as a supervisor does, and returns its summary."""
        self.signal(signal.SIGTERM)
        assert self.wait() == 0, self.diagnostics.read_text()
        return summary_of(self.diagnostics.read_text())
