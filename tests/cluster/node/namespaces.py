"""The node's own mount and network namespace, held open by a process that sleeps. What is mounted,
linked or filtered inside goes with it."""

from __future__ import annotations

import fcntl
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from node import settings
from node.files import command, read_json, write
from node.processes import find, inside, start, wait

# Paths that containerd, the kubelet and the maker of volumes have compiled in, and all of /var/log:
# pods with a hostPath below that write there. Inside, each is a directory under PRIVATE.
DIRECTORIES = (
    *("/run/containerd", "/tmp/hostpath_pv", "/var/lib/cni", "/var/lib/kubelet"),
    "/var/log",
)

# What a kubelet would otherwise set for the whole machine: inside it reads these as set already.
SYSCTLS = {
    "vm/overcommit_memory": 1,
    "vm/panic_on_oom": 0,
    "kernel/panic": 10,
    "kernel/panic_on_oops": 1,
    "kernel/keys/root_maxkeys": 1000000,
    "kernel/keys/root_maxbytes": 25000000,
}

# In a directory that had to be made on the host, for something to be mounted on.
MARK = ".made-for-a-cluster-of-visor"

# Which interface of the host was made.
INTERFACE_RECORD = settings.DIRECTORY / "interface"


@contextmanager
def alone() -> Iterator[None]:
    """Holds up other clusters that make or remove the directories on the host."""
    lock = os.open("/run", os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def make() -> None:
    """Makes the namespaces and connects them with the host."""
    lines = ["mount --make-rshared /"]
    for path in DIRECTORIES:
        own = settings.PRIVATE / path.lstrip("/")
        own.mkdir(parents=True, exist_ok=True)
        lines.append(f"mount --bind '{own}' {path}")
    # kube-dns, or an immediate rejection: nothing waits for a name server that is unreachable.
    resolver = write(settings.ETC / "resolv.conf", f"nameserver {settings.NODE}\n")
    lines.append(f"mount --bind '{resolver}' /etc/resolv.conf")
    for name, value in SYSCTLS.items():
        file = write(settings.ETC / "sysctl" / name, str(value))
        lines.append(f"mount --bind '{file}' /proc/sys/{name}")
    ready = settings.DIRECTORY / "ready"
    lines += [
        "ip link set lo up",
        "echo 1 >/proc/sys/net/ipv4/ip_forward",
        "echo 1 >/proc/sys/net/bridge/bridge-nf-call-iptables || :",
        f"touch '{ready}'",
        "exec sleep infinity",
    ]
    with alone():
        make_directories()
        script = ["sh", "-ec", "\n".join(lines)]
        start("node", ["unshare", "--mount", "--net", "--propagation", "slave", *script])
        wait("the namespaces are made", "node", ready.exists)
    ready.unlink()
    connect()


def refuse_taken_addresses() -> None:
    """Ends all if this machine has the cluster's addresses in use."""
    routes = command("ip", "route", "show", "root", f"{settings.NET}.0.0/16").strip()
    if routes:
        raise SystemExit(
            f"cluster: addresses of {settings.NET} are in use; give CLUSTER_NET others\n{routes}"
        )


def connect() -> None:
    """A pair of interfaces, and routes from the host to pods and services."""
    link, host, node = settings.INTERFACE, settings.HOST, settings.NODE
    ip = ["ip"]
    within = [*inside(), "ip"]
    command(*ip, *f"link add {link} type veth peer name eth0 netns {find('node')}".split())
    write(INTERFACE_RECORD, {"index": index_of(link)})
    command(*ip, *f"address add {host}/24 dev {link}".split())
    command(*ip, *f"link set {link} up".split())
    command(*within, *f"address add {node}/24 dev eth0".split())
    command(*within, "link", "set", "eth0", "up")
    command(*within, *f"route add default via {host}".split())
    for network in (settings.PODS, settings.SERVICES):
        command(*ip, *f"route add {network} via {node}".split())


def disconnect() -> None:
    """Removes the host's interface, if it is the one that was made. It goes with its other end, but
    later."""
    index = read_json(INTERFACE_RECORD).get("index")
    if index is not None and index == index_of(settings.INTERFACE):
        words = ["ip", "link", "delete", settings.INTERFACE]
        subprocess.run(words, stderr=subprocess.DEVNULL, check=False)


def index_of(interface: str) -> int | None:
    """The kernel's number of an interface of the host, which no later one gets."""
    try:
        return int(Path("/sys/class/net", interface, "ifindex").read_text())
    except OSError:
        return None


def make_directories() -> None:
    """Makes what is to be mounted on, where the host hasn't got it."""
    for path in map(Path, DIRECTORIES):
        if not path.is_dir():
            path.mkdir(parents=True)
            (path / MARK).touch()


def remove_directories() -> None:
    """Removes what was made on the host, unless another cluster has something mounted there:
    that would be unmounted, and that cluster removes it at its own end."""
    with alone():
        used = mount_points()
        for path in DIRECTORIES:
            mark = Path(path, MARK)
            if mark.exists() and path not in used:
                mark.unlink()
                if not any(Path(path).iterdir()):
                    Path(path).rmdir()


def mount_points() -> set[str]:
    """Where anything is mounted, in any namespace."""
    found: set[str] = set()
    for file in Path("/proc").glob("[0-9]*/mountinfo"):
        try:
            found.update(line.split()[4] for line in file.read_text().splitlines())
        except OSError:
            continue  # The process went away.
    return found
