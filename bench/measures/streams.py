"""What many quiet streams cost: processor time, memory, threads and open files, from /proc.

Lines arrive by chance (the exponential interval), so that streams don't wake together: the dear
case.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

from .process import memory, processor_seconds
from .report import Bar, Chart, Section, Target
from .settings import Settings
from .visor import access, document, running, stream

MOST_GENERATORS = 250
"""Of one document."""


@dataclass(frozen=True)
class Layout:
    generators: int
    """Each with a file of its own."""
    streams: int
    """Of each generator."""
    lines_per_second: float
    """Of each stream."""
    share: float | None = None
    """The target share of one core."""
    resident: int | None = None
    """The target resident memory, in MiB."""
    threads: int | None = None
    """The target number of threads."""

    def __str__(self) -> str:
        count = self.generators * self.streams
        files = f"{self.generators:,} file{'s' if self.generators > 1 else ''}"
        streams = f"{count:,} stream{'s' if count > 1 else ''}"
        return f"{streams} at {self.lines_per_second:g}/s, {files}"


LAYOUTS = [
    Layout(1, 1, 1, resident=6),
    Layout(1, 100, 10),
    Layout(1, 1000, 10, share=0.05, resident=25),
    Layout(100, 10, 10, share=0.06, threads=10),
    Layout(1000, 1, 1),
    Layout(10, 1000, 1, share=0.02, resident=40),
]


def measure(settings: Settings) -> Section:
    section = Section(
        name="streams",
        title="Many streams",
        columns=[
            "Streams",
            "of a core",
            "resident",
            "peak",
            "threads",
            "open files",
            "lines/s",
            "µs a line",
        ],
        data=[],
    )
    for layout in LAYOUTS:
        add_row(section, layout, watch(settings, layout))
    section.charts = [
        Chart(
            "streams-memory",
            "MiB resident",
            [
                Bar(found["layout"], found["resident"] / (1 << 20))
                for found in section.data
            ],
        ),
        Chart(
            "streams-cpu",
            "Hundredths of a core",
            [Bar(found["layout"], found["share"] * 100) for found in section.data],
        ),
    ]
    section.notes = [
        f"Over {settings.effort.steady_seconds:g} s, all lines into files, one file a generator; "
        "one event loop; intervals are exponential. The share of a core is processor time, user's "
        "and system's, of all threads.",
    ]
    return section


def documents(layout: Layout) -> str:
    interval = {"exponential": {"mean": f"{1000 / layout.lines_per_second:.0f}ms"}}
    generators = [
        access(
            f"g{generator:04}",
            [stream(f"s{number:04}", interval) for number in range(layout.streams)],
            {"file": {"path": f"g{generator:04}.log"}},
        )
        for generator in range(layout.generators)
    ]
    cuts = range(0, len(generators), MOST_GENERATORS)
    return "\n---\n".join(
        document(generators[cut : cut + MOST_GENERATORS], name=f"bench-{cut}")
        for cut in cuts
    )


def watch(settings: Settings, layout: Layout) -> dict:
    directory = f"streams-{layout.generators}-{layout.streams}"
    with running(settings, directory, documents(layout), threads=1) as visor:
        # Asking costs memory and time: what it costs is not what is measured.
        resources = memory(visor.pid)
        before = visor.metrics()
        started, used = time.monotonic(), processor_seconds(visor.pid)
        time.sleep(settings.effort.steady_seconds)
        used = processor_seconds(visor.pid) - used
        share = used / (time.monotonic() - started)
        resources["threads"] = memory(visor.pid)["threads"]
        files = len(os.listdir(f"/proc/{visor.pid}/fd"))
        after = visor.metrics()
    lines = after.sum("visor_lines_total") - before.sum("visor_lines_total")
    return {
        "layout": str(layout),
        "share": share,
        "lines_per_second": lines / (after.at - before.at),
        "open_files": files,
        **resources,
    }


def add_row(section: Section, layout: Layout, found: dict) -> None:
    section.data.append(found)
    share, rate = found["share"], found["lines_per_second"]
    resident, threads = found["resident"], found["threads"]
    section.rows.append(
        [
            str(layout),
            f"{share:.1%}",
            mebibytes(resident),
            mebibytes(found["peak"]),
            str(threads),
            str(found["open_files"]),
            f"{rate:,.0f}",
            f"{share / rate * 1e6:.1f}" if rate else "-",
        ]
    )

    def add_target(what: str, limit: str, got: str, ok: bool) -> None:
        section.targets.append(Target(f"{layout}: {what}", limit, got, ok))

    if layout.share is not None:
        add_target(
            "share of a core",
            f"under {layout.share:.0%}",
            f"{share:.1%}",
            share < layout.share,
        )
    if layout.resident is not None:
        ok = resident < layout.resident << 20
        add_target(
            "resident memory", f"under {layout.resident} MiB", mebibytes(resident), ok
        )
    if layout.threads is not None:
        add_target(
            "threads", f"under {layout.threads}", str(threads), threads < layout.threads
        )


def mebibytes(size: int) -> str:
    return f"{size / (1 << 20):.1f} MiB"
