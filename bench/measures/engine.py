"""The engine's own benchmark as a program: lines in memory, without any output."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from statistics import mean

from .process import Cost, Trouble
from .settings import REPOSITORY

BUILD = ["cargo", "bench", "--package", "visor-engine", "--bench", "lines", "--no-run"]
LINES_A_ROUND = 40_000


def built() -> Path:
    if not shutil.which("cargo"):
        raise Trouble("cargo is missing, which builds the engine's benchmark")
    done = subprocess.run(BUILD, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    found = re.search(r"\((target/\S+)\)", done.stderr)
    if done.returncode or not found:
        raise Trouble(f"the engine's benchmark can't be built:\n{done.stderr}")
    return REPOSITORY / found[1]


def write(program: Path, format_: str, lines: int) -> Cost:
    """So many lines of a format, without what starting up takes."""
    rounds = max(lines // LINES_A_ROUND, 1)
    done = subprocess.run([program, format_, str(rounds)], stdout=subprocess.PIPE, check=True)
    seconds = mean(json.loads(done.stdout)) * lines
    return Cost(seconds, seconds, 0)
