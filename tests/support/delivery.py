"""Tokens in lines, and what the program says that it has emitted."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

TOKEN = re.compile(rb"[A-Za-z0-9_-]{7}_V-[A-Za-z0-9_-]{17}")
LANE, NUMBER = slice(10, 17), slice(17, 22)
DIGITS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def numbers(lines: Iterable[bytes]) -> dict[str, list[int]]:
    """The numbers of lines with tokens, by lane."""
    found: dict[str, list[int]] = defaultdict(list)
    for line in lines:
        token = TOKEN.search(line)
        assert token, line
        number = 0
        for digit in token[0][NUMBER]:
            number = number << 6 | DIGITS.index(digit)
        found[token[0][LANE].decode()].append(number)
    return found


def assert_emitted(report: Path, lines: Iterable[bytes]) -> None:
    """These are the lines of the report: of each lane all numbers from 0 on, in order. All have
    tokens, so the report counts as many as there are."""
    emitted = json.loads(report.read_text())
    written = {lane["lane"]: lane["lines"] for lane in emitted["lanes"] if lane["lines"]}
    assert emitted["ended"] and emitted["lines"] == sum(written.values())
    assert {lane: list(range(count)) for lane, count in written.items()} == numbers(lines)
