"""The cluster's directory: created with a marker file, and nothing is removed without the marker.
So a wrong CLUSTER_DIR deletes no files."""

from __future__ import annotations

import shutil
from contextlib import suppress

from node import settings

MARK = settings.DIRECTORY / "cluster-of-visor"


def is_ours() -> bool:
    return MARK.is_file()


def refuse_strange() -> None:
    """Ends all if there is something in the directory that isn't a cluster."""
    directory = settings.DIRECTORY
    if directory.exists() and not is_ours() and any(directory.iterdir()):
        raise SystemExit(
            f"cluster: {directory} isn't a cluster's; remove it, or give CLUSTER_DIR another place"
        )


def make() -> None:
    settings.DIRECTORY.mkdir(parents=True, exist_ok=True)
    MARK.touch()


def remove() -> None:
    """Removes it, and the one above it after the last cluster."""
    shutil.rmtree(settings.DIRECTORY)
    with suppress(OSError):  # It has others in it.
        settings.DIRECTORY.parent.rmdir()
