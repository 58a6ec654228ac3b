"""Where a line's instructions go, by callgrind: the same on every run of a program, whatever else
the machine does."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path

from . import engine
from .report import Bar, Chart, Section
from .settings import Settings

FORMATS = ["combined", "json", "error_2.4"]
SHOWN = 12
"""So many places; the others are summed up."""


def measure(settings: Settings) -> Section:
    section = Section(
        name="profile",
        title="Where a Combined line's instructions go",
        columns=["Where", "instructions a line", "share"],
        data={},
    )
    if not shutil.which("valgrind"):
        section.notes = ["Not measured: valgrind isn't on the PATH."]
        return section
    program = engine.built()
    for format_ in FORMATS:
        # The difference of two runs: what starting up takes drops out.
        two, four = (places(settings, program, format_, rounds) for rounds in (2, 4))
        lines = 2 * engine.LINES_A_ROUND
        section.data[format_] = {
            where: (four[where] - two[where]) / lines
            for where in four
            if four[where] > two[where]
        }
    combined = section.data["combined"]
    total = sum(combined.values())
    shown = Counter(combined).most_common(SHOWN)
    rest = total - sum(count for _, count in shown)
    for where, count in [*shown, ("all others", rest), ("all", total)]:
        section.rows.append([where, f"{count:,.0f}", f"{count / total:.0%}"])
    section.charts = [
        Chart(
            "profile",
            "Instructions for a Combined line",
            [Bar(where, count) for where, count in [*shown, ("all others", rest)]],
        )
    ]
    totals = ", ".join(
        f"{name} {sum(found.values()):,.0f}" for name, found in section.data.items()
    )
    section.notes = [
        "Callgrind's counts of the engine's benchmark, by the file that an instruction comes from, "
        f"wherever it was inlined. Instructions a line: {totals}."
    ]
    return section


def places(
    settings: Settings, program: Path, format_: str, rounds: int
) -> Counter[str]:
    """Instructions by the file that they come from."""
    counts = settings.directory / "callgrind"
    valgrind = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={counts}"]
    subprocess.run(
        [*valgrind, program, format_, str(rounds)], check=True, capture_output=True
    )
    annotate = ["callgrind_annotate", "--threshold=100", "--auto=no", counts]
    report = subprocess.run(annotate, check=True, capture_output=True, text=True).stdout
    found: Counter[str] = Counter()
    for count, file in re.findall(
        r"^\s*([\d,]+) \([^)]*\)\s+(\S+?):", report, re.MULTILINE
    ):
        found[short(file)] += int(count.replace(",", ""))
    return found


def short(file: str) -> str:
    """A source file as people know it."""
    for mark, name in [
        ("crates/visor-engine/src/", ""),
        ("rand-", "rand: "),
        ("itoa-", "itoa: "),
        ("library/", "Rust's library"),
    ]:
        _, found, rest = file.partition(mark)
        if found:
            return name + rest if not name else name.removesuffix(": ")
    return "libc" if ".S" in file or "malloc" in file else Path(file).name
