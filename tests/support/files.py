"""Log files with all that was rotated away from them."""

from __future__ import annotations

import array
import fcntl
import gzip
import re
import termios
from pathlib import Path


def rotated(path: Path) -> list[Path]:
    """The rotated files of a log, oldest first."""
    pattern = re.compile(re.escape(path.name) + r"\.(\d+)(?:\.gz)?")
    found = [
        (int(match[1]), file)
        for file in path.parent.iterdir()
        if (match := pattern.fullmatch(file.name))
    ]
    numbers = [number for number, _ in found]
    assert len(set(numbers)) == len(numbers), f"one number twice: {found}"
    return [file for _, file in sorted(found, reverse=True)]


def size(path: Path) -> int:
    """The bytes of a file; 0 where there is none, such as for a moment while a log rotates."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def content(path: Path) -> bytes:
    """What a file holds, unpacked."""
    return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()


def whole_lines(text: bytes) -> list[bytes]:
    """The lines of a text without their ends; fails if one is cut, empty or has a NUL."""
    if not text:
        return []
    *lines, rest = text.split(b"\n")
    assert rest == b"", f"the last line is cut: {rest[:200]!r}"
    assert all(line and b"\0" not in line for line in lines), "an empty line or a NUL"
    return lines


def every_line(path: Path) -> list[bytes]:
    """All lines of a log, from the oldest rotated file to the newest; each file on its own is of
    whole lines."""
    files = rotated(path) + ([path] if path.exists() else [])
    return [line for file in files for line in whole_lines(content(file))]


def unread(descriptor: int) -> int:
    """How many bytes there are to be read of a pipe."""
    count = array.array("i", [0])
    fcntl.ioctl(descriptor, termios.FIONREAD, count)
    return count[0]
