"""Small disks of their own for the tests that fill them up."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.tools import do_without, need_root


def mount(path: Path, options: str) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", path], check=True)


def remount(path: Path, options: str) -> None:
    """Changes a mounted disk while it is in use."""
    subprocess.run(["mount", "-o", f"remount,{options}", path], check=True)


@contextmanager
def small_disk(path: Path, options: str) -> Iterator[Path]:
    """A tmpfs at `path`, such as of `size=256k`; does without the test where that isn't allowed."""
    need_root()
    path.mkdir(parents=True)
    try:
        mount(path, options)
    except subprocess.CalledProcessError:
        do_without("needs the right to mount a tmpfs")
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", path], check=True)
