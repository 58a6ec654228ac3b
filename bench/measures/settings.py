"""What a run measures, and how hard it tries."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Effort:
    """How much is measured. More of it means less chance in the numbers."""

    rounds: int
    """Of each contender on each output."""
    lines: int
    """That a contender writes in one round."""
    steady_seconds: float
    """For which many streams are watched."""
    rate_seconds: float
    """For which lines are counted against the target rate."""
    starts: int
    """Of the program, until its first line."""


FULL = Effort(rounds=7, lines=4_000_000, steady_seconds=15, rate_seconds=60, starts=41)
QUICK = Effort(rounds=3, lines=1_500_000, steady_seconds=5, rate_seconds=5, starts=11)


@dataclass(frozen=True)
class Settings:
    binary: Path
    """The program."""
    directory: Path
    """On the disk to measure; empty at first, and removed at the end."""
    effort: Effort
