"""The engine's own benchmark as a program: lines in memory, without any output."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from statistics import mean
from typing import Any

from .process import Trouble
from .settings import REPOSITORY

COMMAND = ["cargo", "bench", "--package", "visor-engine", "--bench", "lines"]
LINES_A_ROUND = 40_000


def built() -> Path:
    if not shutil.which("cargo"):
        raise Trouble(
            "cargo is missing, which builds the engine's benchmark; leave `memory`, `profile` and "
            "`outputs` out"
        )
    build = [*COMMAND, "--no-run"]
    done = subprocess.run(
        build, cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    found = re.search(r"\((target/\S+)\)", done.stderr)
    if done.returncode or not found:
        raise Trouble(f"the engine's benchmark can't be built:\n{done.stderr}")
    return REPOSITORY / found[1]


def run(program: Path, *words: str) -> Any:
    """What it says."""
    try:
        done = subprocess.run([program, *words], stdout=subprocess.PIPE, check=True)
    except subprocess.CalledProcessError:
        raise Trouble("the engine's benchmark failed") from None
    return json.loads(done.stdout)


def seconds(program: Path, format_: str, lines: int) -> float:
    """How long so many lines of a format take, without what starting up takes."""
    rounds = max(lines // LINES_A_ROUND, 1)
    return mean(run(program, format_, str(rounds))) * lines
