"""What a thousand quiet streams cost: processor time and memory, from /proc.

Lines arrive by chance (the exponential law), so that streams don't wake together: the dear case.
"""

from __future__ import annotations

import time

from .process import memory, processor_seconds
from .report import Section, Wanted
from .settings import Settings
from .visor import access, document, running, stream

STREAMS = 1000
LINES_PER_SECOND = 10
SHARE = 0.05
"""The wanted share of one core."""
MEMORY = 25 << 20
"""The wanted resident memory, in bytes."""
LAYOUTS = [1, 100]
"""Generators, each with a file of its own, over which the streams are spread."""


def measure(settings: Settings) -> Section:
    section = Section(
        name="streams",
        title=f"{STREAMS:,} streams of {LINES_PER_SECOND} lines/s each",
        columns=[
            "Generators x streams",
            "of a core",
            "resident",
            "peak",
            "threads",
            "lines/s",
            "µs a line",
        ],
        data=[],
    )
    for generators in LAYOUTS:
        add_row(section, generators, watch(settings, generators))
    section.notes = [
        f"Over {settings.effort.steady_seconds:g} s, all lines into files, one file a generator; "
        "intervals are exponential. The share of a core is processor time, user's and system's, of "
        "all threads.",
    ]
    return section


def watch(settings: Settings, generators: int) -> dict:
    law = {"exponential": {"mean": f"{1000 // LINES_PER_SECOND}ms"}}
    each = STREAMS // generators
    text = document(
        [
            access(
                f"g{generator:03}",
                [stream(f"s{number:04}", law) for number in range(each)],
                {"file": {"path": f"g{generator:03}.log"}},
            )
            for generator in range(generators)
        ]
    )
    with running(settings, f"streams-{generators}", text) as visor:
        before = visor.metrics()
        # What asking costs is not what is measured.
        started, used = time.monotonic(), processor_seconds(visor.pid)
        time.sleep(settings.effort.steady_seconds)
        used = processor_seconds(visor.pid) - used
        share = used / (time.monotonic() - started)
        resources = memory(visor.pid)
        after = visor.metrics()
    rate = (after.sum("visor_lines_total") - before.sum("visor_lines_total")) / (
        after.at - before.at
    )
    return {
        "generators": generators,
        "streams": each,
        "share": share,
        "lines_per_second": rate,
        **resources,
    }


def add_row(section: Section, generators: int, found: dict) -> None:
    section.data.append(found)
    share, peak = found["share"], found["peak"]
    section.rows.append(
        [
            f"{generators} x {found['streams']}",
            f"{share:.1%}",
            mebibytes(found["resident"]),
            mebibytes(peak),
            str(found["threads"]),
            f"{found['lines_per_second']:,.0f}",
            f"{share / found['lines_per_second'] * 1e6:.1f}",
        ]
    )
    what = f"{STREAMS:,} streams on {generators} file{'s' if generators > 1 else ''}"
    section.wanted += [
        Wanted(f"{what}, share of a core", f"under {SHARE:.0%}", f"{share:.1%}", share < SHARE),
        Wanted(f"{what}, peak memory", f"under {MEMORY >> 20} MiB", mebibytes(peak), peak < MEMORY),
    ]


def mebibytes(size: int) -> str:
    return f"{size / (1 << 20):.2f} MiB"
