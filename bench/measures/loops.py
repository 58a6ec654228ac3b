"""How many more lines two event loops write than one; and two programs, which share nothing but the
machine: what more of it there is to be had."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack
from statistics import median

from .report import Bar, Chart, Section, Target, millions
from .settings import Settings
from .visor import access, document, running, stream

TARGET = 1.8
SECONDS = 2
LOGS = ["one", "two"]


def measure(settings: Settings) -> Section:
    section = Section(
        name="loops",
        title="Two event loops beside one",
        columns=["Unlimited lines by", "lines/s", "times one loop"],
        data={},
    )
    if (os.cpu_count() or 1) < 2:
        section.notes = ["Not measured: this machine has one core."]
        return section
    contenders = {
        "one loop": [(1, LOGS)],
        "two loops": [(2, LOGS)],
        "two programs": [(1, LOGS[:1]), (1, LOGS[1:])],
    }
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    for round_ in range(settings.effort.rounds):
        for name, programs in contenders.items():
            directory = f"{name.replace(' ', '-')}-{round_}"
            rates[name].append(lines_per_second(settings, programs, directory))
    ones = rates["one loop"]
    ratios = {
        name: median(rate / one for rate, one in zip(found, ones, strict=True))
        for name, found in rates.items()
    }
    section.data = {"lines_per_second": rates, "ratios": ratios}
    section.rows = [
        [name, millions(median(found)), f"{ratios[name]:.2f}"]
        for name, found in rates.items()
    ]
    got = f"{ratios['two loops']:.2f} (two programs: {ratios['two programs']:.2f})"
    reached = ratios["two loops"] >= TARGET
    section.targets = [
        Target("two loops, times one", f"at least {TARGET}", got, reached)
    ]
    section.charts = [
        Chart(
            "loops",
            "Million unlimited lines per second",
            [Bar(name, median(found) / 1e6) for name, found in rates.items()],
        )
    ]
    section.notes = [
        "Two generators with an unlimited stream each, each into `/dev/null`, for "
        f"{SECONDS} s a round, {settings.effort.rounds} rounds in turns; medians. *Two programs* "
        "have a generator and a loop each: what they have is what the machine gives, for virtual "
        "cores may be two threads of one."
    ]
    return section


def lines_per_second(
    settings: Settings, programs: list[tuple[int, list[str]]], directory: str
) -> float:
    """Of programs at one time, each with so many event loops and these generators."""
    unlimited = [stream("lines", {"unlimited": {}})]
    with ExitStack() as stack:
        visors = []
        for number, (loops, logs) in enumerate(programs):
            generators = [
                access(log, unlimited, {"file": {"path": f"{log}.log"}}) for log in logs
            ]
            text, nothing = document(generators), [f"{log}.log" for log in logs]
            place = f"{directory}-{number}"
            started = running(
                settings, place, text, threads=loops, into_nothing=nothing
            )
            visors.append(stack.enter_context(started))
        before = [visor.metrics() for visor in visors]
        time.sleep(SECONDS)
        after = [visor.metrics() for visor in visors]
    return sum(
        (late.sum("visor_lines_total") - early.sum("visor_lines_total"))
        / (late.at - early.at)
        for early, late in zip(before, after, strict=True)
    )
