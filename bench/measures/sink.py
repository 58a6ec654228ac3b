"""How fast `visor sink` takes records over one connection, by its own benchmark: beside a sink that
rejects all of it, so that it only reads and answers, and one that keeps a state."""

from __future__ import annotations

import json
import subprocess
from statistics import median

from .process import Trouble
from .report import Section, Target, millions
from .settings import REPOSITORY, Settings

COMMAND = ["cargo", "bench", "--package", "visor-sink", "--bench", "sink"]
WANTED = {"NDJSON": 1e6, "Loki, protocol buffers": 1e6, "OTLP, protocol buffers": 3e5}
"""Records a second, with one lane."""
MEMORY = 100 << 20
"""Bytes, with lines of ten thousand lanes."""


def measure(_: Settings) -> Section:
    section = Section(
        name="sink",
        title="`visor sink`, over one connection",
        columns=["Records", "lanes", "records/s", "processor", "with a state", "floor", "memory"],
        data=found(),
    )
    for one in section.data:
        add(section, one)
    most = max(memory_of(one) for one in section.data if one["lanes"] > 1)
    section.targets.append(
        Target(
            "`visor sink`, lines of 10,000 lanes: resident memory",
            f"at most {MEMORY >> 20} MiB",
            f"{most / (1 << 20):.1f} MiB",
            most <= MEMORY,
        )
    )
    section.notes = [
        f"`{' '.join(COMMAND)}`: a million Combined lines in requests of five thousand records, each "
        "sent when the one before is answered. *Processor* is the share of a core that the sink took. "
        "The *floor* is the same sink with `--fault reject`: it reads and answers. Medians of the "
        "rounds, in which all take turns; the targets compare the best.",
    ]
    return section


def found() -> list[dict]:
    done = subprocess.run(COMMAND, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Trouble(f"the benchmark of the sink failed:\n{done.stderr}")
    return json.loads(done.stdout)


def add(section: Section, one: dict) -> None:
    costs, records = one["costs"], one["records"]
    times = {way: [cost["seconds"] for cost in of] for way, of in costs.items()}
    share = median(cost["processorSeconds"] / cost["seconds"] for cost in costs["sink"])
    rates = {way: millions(records / median(of)) for way, of in times.items()}
    section.rows.append(
        [
            one["protocol"],
            f"{one['lanes']:,}",
            rates["sink"],
            f"{share:.0%}",
            rates["withState"],
            rates["floor"],
            f"{memory_of(one) / (1 << 20):.1f} MiB",
        ]
    )
    if one["lanes"] == 1:
        wanted, best = WANTED[one["protocol"]], records / min(times["sink"])
        section.targets.append(
            Target(
                f"`visor sink`: {one['protocol']}",
                f"{millions(wanted)} records/s",
                f"{millions(best)} records/s",
                best >= wanted,
            )
        )


def memory_of(one: dict) -> int:
    """The most memory that a sink took that took the records."""
    return max(cost["memoryBytes"] for way in ("sink", "withState") for cost in one["costs"][way])
