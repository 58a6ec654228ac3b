"""The cluster's cgroups, of either version: CGROUP/system for its daemons, CGROUP/kubepods by the
kubelet for pods. A process in them is the cluster's, whatever became of its parent; so it is
recorded which groups were made here, by their inodes, and only those count."""

from __future__ import annotations

import os
import shutil
import time
from contextlib import suppress
from pathlib import Path

from node import settings
from node.files import read_json, write

RECORD = settings.DIRECTORY / "cgroups"


def places() -> list[Path]:
    """Where the cluster's own group is in every hierarchy that the machine has."""
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    kinds = ("cgroup", "cgroup2")
    return [Path(at) / settings.CGROUP for _, at, kind, *_ in mounts if kind in kinds]


def roots() -> list[Path]:
    """The groups that were made for this cluster and are there still."""
    recorded = read_json(RECORD)
    return [root for root in places() if root.is_dir() and recorded.get(str(root)) == inode(root)]


def inode(group: Path) -> int:
    return group.stat().st_ino


def refuse_strangers() -> None:
    """Ends all if there is a group of that name that wasn't made for this cluster and is in use."""
    for root in set(places()) - set(roots()):
        if processes_in(root):
            raise SystemExit(
                f"cluster: {root} is the group of a cluster that isn't in {settings.DIRECTORY};"
                " give this one another CLUSTER_NAME and CLUSTER_NET, or end that one by"
                f" `{settings.PROGRAM} down` with the CLUSTER_DIR that it was made with"
            )


# What a kubelet insists on, where the machine has it.
CONTROLLERS = {"cpu", "cpuset", "hugetlb", "memory", "pids"}
UNIFIED = Path("/sys/fs/cgroup")


def make() -> None:
    """Makes the groups of the daemons."""
    hand_down_controllers()
    for root in places():
        # What another cluster of that name may have left is empty.
        remove_tree(root, time.monotonic() + 30)
        for group in (root, root / "system"):
            group.mkdir(exist_ok=True)
            for name in ("cpuset.cpus", "cpuset.mems"):
                # In version 1 these are empty until set, and nothing may join before. In version 2
                # the topmost group hasn't got them.
                if (group / name).exists() and (group.parent / name).exists():
                    shutil.copyfile(group.parent / name, group / name)
    write(RECORD, {str(root): inode(root) for root in places()})


def hand_down_controllers() -> None:
    """In version 2 a group has the controllers that the one above it hands down."""
    available, handed_down = UNIFIED / "cgroup.controllers", UNIFIED / "cgroup.subtree_control"
    if not available.exists():
        return
    wanted = CONTROLLERS & set(available.read_text().split())
    missing = sorted(wanted - set(handed_down.read_text().split()))
    try:
        if missing:
            handed_down.write_text(" ".join(f"+{name}" for name in missing))
    except OSError as error:
        # In a container: what runs in its topmost group would have to move to another.
        names = ", ".join(missing)
        raise SystemExit(f"cluster: {handed_down}: {names}: {error.strerror}") from error


def join() -> None:
    """Puts this process into the groups of the daemons."""
    for root in roots():
        (root / "system" / "cgroup.procs").write_text(str(os.getpid()))


def members() -> set[int]:
    """Every process in the groups."""
    return {pid for root in roots() for pid in processes_in(root)}


def processes_in(root: Path) -> set[int]:
    """Every process in a group and those in it. Groups may go away meanwhile; a walk minds that
    no more than that a file can't be read."""
    found: set[int] = set()
    for group, _, _ in os.walk(root):
        with suppress(OSError):
            found.update(map(int, Path(group, "cgroup.procs").read_text().split()))
    return found


def remove(deadline: float) -> None:
    """Removes the groups."""
    for root in roots():
        remove_tree(root, deadline)


def remove_tree(root: Path, deadline: float) -> None:
    """Removes a group and those in it; the kernel needs a moment after the last process is gone."""
    for group, _, _ in os.walk(root, topdown=False):
        while os.path.isdir(group):
            try:
                os.rmdir(group)
            except OSError as error:
                if time.monotonic() > deadline:
                    raise SystemExit(f"cluster: can't be removed: {group}: {error}") from error
                time.sleep(0.02)
