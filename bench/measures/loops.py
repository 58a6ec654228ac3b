"""How many more lines two event loops write than one."""

from __future__ import annotations

import os
import time
from statistics import median

from .report import Bar, Chart, Section, Wanted, millions
from .settings import Settings
from .visor import access, document, running, stream

WANTED = 1.8
SECONDS = 2
LOGS = ["one", "two"]


def measure(settings: Settings) -> Section:
    section = Section(
        name="loops",
        title="Two event loops beside one",
        columns=["Event loops", "lines/s", "times one"],
        data={},
    )
    if (os.cpu_count() or 1) < 2:
        section.notes = ["Not measured: this machine has one core."]
        return section
    rates: dict[int, list[float]] = {1: [], 2: []}
    for round_ in range(settings.effort.rounds):
        for loops, found in rates.items():
            found.append(lines_per_second(settings, loops, f"loops-{loops}-{round_}"))
    ratio = median(two / one for one, two in zip(rates[1], rates[2], strict=True))
    section.data = {"lines_per_second": rates, "ratio": ratio}
    one, two = median(rates[1]), median(rates[2])
    section.rows = [["1", millions(one), "1"], ["2", millions(two), f"{ratio:.2f}"]]
    section.wanted = [
        Wanted("two loops, times one", f"at least {WANTED}", f"{ratio:.2f}", ratio >= WANTED)
    ]
    section.charts = [
        Chart(
            "loops",
            "Million lines a second, two unlimited generators",
            [Bar("one loop", one / 1e6), Bar("two loops", two / 1e6)],
        )
    ]
    section.notes = [
        "Two generators with an unlimited stream each, each into `/dev/null`, for "
        f"{SECONDS} s a round, {settings.effort.rounds} rounds in turns; medians."
    ]
    return section


def lines_per_second(settings: Settings, loops: int, directory: str) -> float:
    unlimited = [stream("lines", {"unlimited": {}})]
    generators = [access(log, unlimited, {"file": {"path": f"{log}.log"}}) for log in LOGS]
    text, nothing = document(generators), [f"{log}.log" for log in LOGS]
    with running(settings, directory, text, threads=loops, into_nothing=nothing) as visor:
        before = visor.metrics()
        time.sleep(SECONDS)
        after = visor.metrics()
    lines = after.sum("visor_lines_total") - before.sum("visor_lines_total")
    return lines / (after.at - before.at)
