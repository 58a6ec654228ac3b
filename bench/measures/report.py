"""Results as Markdown tables, with their targets."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Target:
    """A target, and whether it was reached; `ok` is None if that is unknown."""

    what: str
    limit: str
    got: str
    ok: bool | None


@dataclass(frozen=True)
class Bar:
    """A number with a name."""

    name: str
    value: float


@dataclass(frozen=True)
class Chart:
    """Numbers side by side; `name` is that of its file."""

    name: str
    title: str
    bars: list[Bar]


@dataclass
class Section:
    """What one measure found. `data` are the same numbers for machines."""

    name: str
    title: str
    columns: list[str]
    rows: list[list[str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    charts: list[Chart] = field(default_factory=list)
    data: Any = None


def failures(sections: Iterable[Section]) -> list[Target]:
    return [
        target
        for section in sections
        for target in section.targets
        if target.ok is False
    ]


def markdown(
    conditions: str, sections: list[Section], pictures: str | None = None
) -> str:
    """The report; with the path of its pictures, if they are drawn."""
    parts = ["# Performance", conditions]
    targets = [target for section in sections for target in section.targets]
    if targets:
        verdicts = {True: "yes", False: "**no**", None: "cannot tell"}
        rows = [[one.what, one.limit, one.got, verdicts[one.ok]] for one in targets]
        parts += ["## Targets", table(["What", "Target", "Measured", "Reached"], rows)]
    for section in sections:
        parts.append(f"## {section.title}")
        if section.rows:
            parts.append(table(section.columns, section.rows))
        parts += section.notes
        if pictures:
            parts += [
                f"![{one.title}]({pictures}/{one.name}.svg)" for one in section.charts
            ]
    return "\n\n".join(parts)


def table(columns: list[str], rows: list[list[str]]) -> str:
    """A table with its first column to the left and its numbers to the right."""
    widths = [
        max(len(row[at]) for row in [columns, *rows]) for at in range(len(columns))
    ]

    def line(cells: list[str]) -> str:
        padded = [
            cell.ljust(width) if at == 0 else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return f"| {' | '.join(padded)} |"

    rule = [
        ":" + "-" * (widths[0] - 1),
        *("-" * (width - 1) + ":" for width in widths[1:]),
    ]
    return "\n".join([line(columns), line(rule), *map(line, rows)])


def seconds(value: float) -> str:
    """A time, in the unit that suits it."""
    if value < 0.0995:
        return f"{value * 1e3:.2g} ms" if value < 0.00995 else f"{value * 1e3:.0f} ms"
    return f"{value:.2f} s"


def millions(value: float) -> str:
    return f"{value / 1e6:.2f} M"
