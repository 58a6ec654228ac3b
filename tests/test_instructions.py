"""The instructions for a line, as callgrind counts them. They are the same in every run, and nearly
the same on every machine: a change that makes lines slower is detected, while seconds would depend
on the machine."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from support.program import BINARY
from support.tools import tool

# Instructions for a line of a simulated run, in the tests' build (which is optimized less than a
# release). A change that makes a line slower by more than the margin must raise the number here,
# and say why; one that makes it faster lowers it.
MOST = {
    "Common": 1_335,
    "Combined": 1_525,
    # With a token, which needs a check of the whole line.
    "Json": 4_550,
    "Httpd24": 2_270,
}
MARGIN = 1.05
FEW, MANY = 10_000, 50_000


def instructions(directory: Path, format_: str, lines: int) -> int:
    log = "error" if format_.startswith("Httpd") else "access"
    command = [BINARY, "emit", log, "--format", format_, "-n", str(lines), "--seed", "1"]
    done = subprocess.run(
        [
            tool("valgrind"),
            "--tool=callgrind",
            f"--callgrind-out-file={directory / 'counts'}",
            *command,
            "--start",
            "2026-01-01T00:00:00Z",
            "-o",
            "/dev/null",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    return int(re.search(r"Collected : (\d+)", done.stderr)[1])


@pytest.mark.parametrize("format_", MOST)
def test_a_line_takes_no_more_instructions_than_it_did(tmp_path: Path, format_: str) -> None:
    few, many = (instructions(tmp_path, format_, lines) for lines in (FEW, MANY))
    # What starting takes drops out.
    a_line = (many - few) / (MANY - FEW)
    print(f"{format_}: {a_line:.0f} instructions a line")
    assert a_line <= MARGIN * MOST[format_]
    assert a_line >= MOST[format_] / MARGIN / MARGIN, "it has become cheaper: lower the number"
