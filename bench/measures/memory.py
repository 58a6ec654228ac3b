"""Lines per second in memory, on one core, of each format, beside baselines that copy what is ready
already: what the engine's own benchmark measures, where all take turns."""

from __future__ import annotations

from statistics import median

from . import engine
from .report import Bar, Chart, Section, Target, millions
from .settings import Settings

FORMAT = "combined"
SHARE = 0.6
"""Of the lines that the baseline of eleven pieces copies; or, where that is more than anyone
needs:"""
TARGET_LINES = 12_000_000
"""A second."""


def measure(settings: Settings) -> Section:
    section = Section(
        name="memory",
        title="Lines in memory, on one core",
        columns=[
            "Format",
            "lines/s",
            "best",
            "bytes a line",
            "MB/s",
            "whole copies",
            "in pieces",
        ],
        data=[],
    )
    for found in engine.run(engine.built()):
        add_row(section, found)
    section.notes = [
        f"`{' '.join(engine.COMMAND)}`: the engine alone, without any output. *Whole copies* and "
        "*in pieces* are visor's lines in hundredths of those of a baseline that copies the same "
        "lines and draws nothing: each whole, or in the eleven pieces that a Combined line has. "
        "Medians of the rounds, in which all take turns; ratios are those within a round.",
    ]
    combined = next(found for found in section.data if found["format"] == FORMAT)
    section.charts = [
        Chart(
            "memory",
            "Million lines per second in memory, one core",
            [
                Bar(found["format"], found["lines_per_second"] / 1e6)
                for found in section.data
            ],
        )
    ]
    rate, share = combined["lines_per_second"], combined["share_of_pieces"]
    section.targets = [
        Target(
            "Combined in memory",
            f"{SHARE:.0%} of a copy in eleven pieces, or {millions(TARGET_LINES)} lines/s",
            f"{share:.0%}, {millions(rate)} lines/s",
            share >= SHARE or rate >= TARGET_LINES,
        )
    ]
    return section


def add_row(section: Section, times: dict) -> None:
    ours = times["visor"]
    rate = 1 / median(ours)
    found = {
        "format": times["format"],
        "lines_per_second": rate,
        "bytes_per_second": rate * times["bytesALine"],
        "share_of_whole": share(ours, times["wholeLines"]),
        "share_of_pieces": share(ours, times["pieces"]),
    }
    section.data.append(found)
    pieces = found["share_of_pieces"]
    section.rows.append(
        [
            found["format"],
            millions(rate),
            millions(1 / min(ours)),
            str(times["bytesALine"]),
            f"{found['bytes_per_second'] / 1e6:.0f}",
            f"{found['share_of_whole']:.0%}",
            "-" if pieces is None else f"{pieces:.0%}",
        ]
    )


def share(ours: list[float], baselines: list[float]) -> float | None:
    """Our lines in parts of the baseline's: the median of the rounds."""
    if not baselines:
        return None
    return median(baseline / own for own, baseline in zip(ours, baselines, strict=True))
