"""Small disks of their own for the tests that fill them up."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.tools import need_root


def mount(path: Path, options: str) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", path], check=True)


def remount(path: Path, options: str) -> None:
    """Changes a mounted disk while it is in use."""
    subprocess.run(["mount", "-o", f"remount,{options}", path], check=True)


@contextmanager
def small_disk(path: Path, options: str) -> Iterator[Path]:
    """A tmpfs at `path`, such as of `size=256k`; skips the test where that is not allowed."""
    need_root()
    path.mkdir(parents=True)
    try:
        mount(path, options)
    except subprocess.CalledProcessError:
        pytest.skip("needs the right to mount a tmpfs")
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", path], check=True)
