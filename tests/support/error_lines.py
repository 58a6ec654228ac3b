"""Lines of httpd's error log, taken apart and put into the formatter's fields."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from support.formatter import text

LEVELS = ["emerg", "alert", "crit", "error", "warn", "notice", "info", "debug"]
LEVELS += [f"trace{depth}" for depth in range(1, 9)]

# The default format of httpd 2.4, part by part.
HTTPD_24 = re.compile(
    rb"""
    \[(?P<time>[A-Z][a-z]{2}\ [A-Z][a-z]{2}\ [0-3]\d\ [0-2]\d:[0-5]\d:[0-6]\d\.\d{6}\ \d{4})\]
    \ \[(?P<module>[a-z0-9_]*):(?P<level>%(levels)s)\]
    \ \[pid\ (?P<pid>\d+)(?::tid\ (?P<tid>\d+))?\]
    (?:\ (?P<sourceFile>[a-z0-9_]+\.[ch])\((?P<sourceLine>\d+)\):)?
    (?:\ \((?P<errno>\d+)\)(?P<errnoText>[A-Z][A-Za-z ]+):)?
    (?:\ \[(?:client|remote)\ (?P<client>[0-9a-f.:]+):(?P<clientPort>\d+)\])?
    \ (?P<rest>.+)
    """
    % {b"levels": "|".join(LEVELS).encode()},
    re.VERBOSE,
)

# The default format of httpd 2.2.
HTTPD_22 = re.compile(
    rb"""
    \[(?P<time>[A-Z][a-z]{2}\ [A-Z][a-z]{2}\ [0-3]\d\ [0-2]\d:[0-5]\d:[0-6]\d\ \d{4})\]
    \ \[(?P<level>%(levels)s)\]
    (?:\ \[client\ (?P<client>[0-9a-f.:]+)\])?
    (?:\ \((?P<errno>\d+)\)(?P<errnoText>[A-Z][A-Za-z ]+):)?
    \ (?P<rest>.+)
    """
    % {b"levels": "|".join(LEVELS).encode()},
    re.VERBOSE,
)

REFERER = b", referer: "

ESCAPE = re.compile(rb"\\(?:x([0-9a-f]{2})|([bnrtv\\]))")
LETTERS = {b"b": b"\b", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v", b"\\": b"\\"}


def unescape(written: bytes) -> bytes:
    """The bytes that httpd wrote as `written`."""
    return ESCAPE.sub(
        lambda found: bytes.fromhex(found[1].decode()) if found[1] else LETTERS[found[2]], written
    )


def nanoseconds(time: bytes, time_zone: str) -> int:
    """A time stamp of httpd 2.4's error log as nanoseconds since the epoch."""
    there = datetime.strptime(time.decode(), "%a %b %d %H:%M:%S.%f %Y")
    there = there.replace(tzinfo=ZoneInfo(time_zone))
    return int(there.replace(microsecond=0).timestamp()) * 10**9 + there.microsecond * 1000


def fields_of(line: bytes, time_zone: str) -> dict[str, Any]:
    """The fields of a line; fails if it isn't one of httpd 2.4."""
    found = HTTPD_24.fullmatch(line)
    assert found, line
    message, referer, page = found["rest"].partition(REFERER)
    fields = {
        "time": nanoseconds(found["time"], time_zone),
        "level": text(found["level"]),
        "message": text(unescape(message)),
        "referer": text(unescape(page)) if referer else None,
    }
    for name in ("module", "sourceFile", "errnoText", "client"):
        fields[name] = text(found[name]) if found[name] else None
    for name in ("pid", "tid", "sourceLine", "errno", "clientPort"):
        fields[name] = int(found[name]) if found[name] else None
    return fields
