"""Lines a second in memory, on one core, of each format: what criterion left behind, beside its
floor, copying the same lines that are ready already.

Nothing is measured here, for criterion takes minutes; the age of its numbers is said instead.
"""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

from .process import run_into
from .report import Section, Wanted, millions
from .settings import Settings

COMMAND = "cargo bench --package visor-engine --bench lines"
LINES, COPYING = "lines", "copying the same lines"
WANTED_FORMAT = "combined"
WANTED_LINES = 8_000_000
"""A second; or, where the machine is slower, so many times flog's rate:"""
WANTED_TIMES_FLOG = 35
FLOG_LINES = 200_000


def measure(settings: Settings) -> Section:
    section = Section(
        name="memory",
        title="Lines in memory, on one core",
        columns=["Format", "lines/s", "MB/s", "copying, lines/s", "times a copy's time"],
        data=[],
    )
    # `new` is criterion's name for its latest run.
    for path in sorted(settings.criterion.glob(f"*/{LINES}/new/estimates.json")):
        add_row(section, path)
    if section.data:
        ages = [found.pop("age_seconds") for found in section.data]
        section.notes = [f"From `{COMMAND}`, run {max(ages) / 60:.0f} minutes ago; its medians."]
        section.wanted = wanted(section.data)
    else:
        section.notes = [f"Not measured: run `{COMMAND}` first."]
    return section


def add_row(section: Section, path: Path) -> None:
    of_format = path.parent.parent.parent
    lines = median_nanoseconds(path)
    benchmark = json.loads((path.parent / "benchmark.json").read_text())
    size = benchmark["throughput"]["ElementsAndBytes"]
    copying = of_format / COPYING / "new/estimates.json"
    found = {
        "format": of_format.name,
        "lines_per_second": size["elements"] / lines * 1e9,
        "bytes_per_second": size["bytes"] / lines * 1e9,
        "age_seconds": time.time() - path.stat().st_mtime,
    }
    copied, ratio = "-", "-"
    if copying.exists():
        floor = median_nanoseconds(copying)
        found["copying_lines_per_second"] = size["elements"] / floor * 1e9
        found["ratio"] = lines / floor
        copied, ratio = millions(found["copying_lines_per_second"]), f"{found['ratio']:.1f}"
    section.data.append(found)
    section.rows.append(
        [
            found["format"],
            millions(found["lines_per_second"]),
            f"{found['bytes_per_second'] / 1e6:.0f}",
            copied,
            ratio,
        ]
    )


def median_nanoseconds(estimates: Path) -> float:
    """Of one round of the benchmark."""
    return json.loads(estimates.read_text())["median"]["point_estimate"]


def wanted(data: list[dict]) -> list[Wanted]:
    rates = [found["lines_per_second"] for found in data if found["format"] == WANTED_FORMAT]
    if not rates:
        return []
    got, reached = f"{millions(rates[0])} lines/s", rates[0] >= WANTED_LINES
    ok: bool | None = reached or None
    if flog := shutil.which("flog"):
        command = [flog, "-f", "apache_combined", "-n", str(FLOG_LINES)]
        times = rates[0] / (FLOG_LINES / run_into([command], Path("/dev/null")).seconds)
        got += f", {times:.0f} times flog's"
        ok = reached or times >= WANTED_TIMES_FLOG
    limit = f"{millions(WANTED_LINES)} lines/s or {WANTED_TIMES_FLOG} times flog's"
    return [Wanted("Combined in memory", limit, got, ok)]
