"""`visor sink` as a process: it is started and watched, and says at its end what arrived."""

from __future__ import annotations

import json
import signal
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

from support.program import BINARY, fields_of
from support.waiting import TIMEOUT, wait_for

COUNTS = (
    *("emitted", "delivered", "missing", "duplicated", "redelivered", "late", "outOfOrder"),
    *("truncated", "split", "merged", "altered", "foreign", "unobserved"),
)


def counts(**some: int) -> dict[str, int]:
    """The counts of a verdict: these, and no others."""
    assert set(some) <= set(COUNTS), some
    return {**dict.fromkeys(COUNTS, 0), **some}


class Sink:
    """A sink on free ports, with diagnostics in JSON."""

    def __init__(
        self, directory: Path, *options: str | Path, http: str = "127.0.0.1:0", **more: Any
    ) -> None:
        self.diagnostics = directory / "sink.jsonl"
        with self.diagnostics.open("wb") as stderr:
            self.process = subprocess.Popen(
                [
                    *(BINARY, "sink", "--http", http),
                    *("--logging-format", "json", "--output", "json"),
                    *map(str, options),
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                cwd=directory,
                **more,
            )

    def __enter__(self) -> Sink:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def events(self) -> list[dict[str, Any]]:
        """The diagnostics so far."""
        return [fields_of(line) for line in self.diagnostics.read_text().split("\n")[:-1]]

    def address(self, listener: str = "http") -> str:
        """The address of a listener."""

        def found() -> str | None:
            assert self.process.poll() is None, self.diagnostics.read_text()
            listening = (e for e in self.events() if e.get("message") == "listening")
            return next((e["address"] for e in listening if e["listener"] == listener), None)

        return wait_for(f"the address of {listener}", found)

    @property
    def url(self) -> str:
        return f"http://{self.address()}"

    def get(self, path: str) -> str:
        with urllib.request.urlopen(self.url + path, timeout=TIMEOUT) as response:
            return response.read().decode()

    def verdict(self) -> dict[str, Any]:
        """The verdict now."""
        return json.loads(self.get("/verdict"))

    def total(self) -> dict[str, int]:
        return self.verdict()["total"]

    def wait_for(self, **wanted: int) -> dict[str, int]:
        """Waits until the verdict has these counts."""

        def reached() -> dict[str, int] | None:
            total = self.total()
            return total if wanted.items() <= total.items() else None

        return wait_for(f"{wanted} in the verdict", reached)

    def kill(self) -> None:
        """Ends it at once, wherever it is."""
        self.process.kill()
        self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()

    def finish(self) -> tuple[int, dict[str, Any]]:
        """Waits for the end, and returns the exit status and the verdict."""
        out, _ = self.process.communicate(timeout=TIMEOUT * 2)
        assert out, self.diagnostics.read_text()
        return self.process.returncode, json.loads(out)

    def stop(self) -> tuple[int, dict[str, Any]]:
        """Ends it as a supervisor does."""
        self.process.send_signal(signal.SIGTERM)
        return self.finish()
