"""How long from the start of the program until its first line is there."""

from __future__ import annotations

import subprocess
import time
from statistics import median, quantiles

from .process import Trouble
from .report import Section, Target, seconds
from .settings import Settings
from .visor import access, document, stream

FIRST_LINE = 0.02
"""Seconds."""
SIZE = 12_000_000
"""Bytes of the program, which is all that its image holds."""


def measure(settings: Settings) -> Section:
    path = settings.directory / "start.yaml"
    path.write_text(
        document(
            [access("web", [stream("requests", {"unlimited": {}})], {"stdout": {}})],
            stopAfter={"lines": 1},
        )
    )
    visor = str(settings.binary)
    contenders = {
        "`yes`": ["yes", "line"],
        "`visor emit`": [visor, "emit", "access", "-n", "1", "--seed", "1"],
        "`visor run`": [visor, "run", "-f", str(path), "--listen", "127.0.0.1:0"],
    }
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(settings.effort.starts):
        for name, command in contenders.items():
            times[name].append(first_line(command))
    size = settings.binary.stat().st_size
    run = median(times["`visor run`"])
    return Section(
        name="start",
        title="Start and size",
        columns=["Program", "to the first line, median", "p90"],
        targets=[
            Target(
                "`visor run` to its first line",
                f"within {seconds(FIRST_LINE)}",
                seconds(run),
                run <= FIRST_LINE,
            ),
            Target(
                "program",
                f"under {SIZE / 1e6:.0f} MB",
                f"{size / 1e6:.1f} MB",
                size < SIZE,
            ),
        ],
        rows=[
            [name, seconds(median(found)), seconds(quantiles(found, n=10)[-1])]
            for name, found in times.items()
        ],
        notes=[
            f"{settings.effort.starts} starts each, taking turns; `visor run` reads a document "
            "and listens for Prometheus before its first line.",
            f"The program has {size / 1e6:.1f} MB; its image has nothing else in it.",
        ],
        data={
            name.strip("`"): {"median_seconds": median(found), "seconds": found}
            for name, found in times.items()
        },
    )


def first_line(command: list[str]) -> float:
    started = time.monotonic()
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    with process.stdout as lines:
        line = lines.readline()
        elapsed = time.monotonic() - started
    process.terminate()
    process.wait()
    if not line.endswith(b"\n"):
        raise Trouble(f"`{' '.join(command)}` ended without a line")
    return elapsed
