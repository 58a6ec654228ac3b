"""The settings of a cluster: its directories, addresses and names."""

from __future__ import annotations

import functools
import ipaddress
import os
import re
import shutil
import subprocess
from pathlib import Path

PROGRAM = Path(__file__).resolve().parents[1] / "cluster"

# Of the node, its directory, its cgroup and its interface; the kernel allows an interface 15
# characters.
NAME = os.environ.get("CLUSTER_NAME", "visor")
# The first two octets of every address.
NET = os.environ.get("CLUSTER_NET", "10.120")
# All that the cluster has on disk. The path is short, and the same from every checkout.
DIRECTORY = Path(os.environ.get("CLUSTER_DIR", "/var/lib/visor-cluster")).absolute() / NAME
# No other group has this name.
CGROUP = f"visor-cluster-{NAME}"

HOST = f"{NET}.0.1"
NODE = f"{NET}.0.2"
PODS = f"{NET}.1.0/24"
SERVICES = f"{NET}.128.0/17"
FIRST_SERVICE = f"{NET}.128.1"
API = f"https://{NODE}:16443"
INTERFACE = f"{NAME}-veth"

# Where the node's own processes find containerd.
SOCKET = "/run/containerd/containerd.sock"

LOG = DIRECTORY / "log"
ETC = DIRECTORY / "etc"
PKI = DIRECTORY / "pki"
PID = DIRECTORY / "pid"
# What the node has for its own instead of the host's directories: see namespaces.py.
PRIVATE = DIRECTORY / "node"

ADMIN = ETC / "admin.kubeconfig"


@functools.cache
def kubernetes() -> Path:
    """The directory of the built Kubernetes, which is built if there is none yet."""
    given = os.environ.get("CLUSTER_KUBERNETES")
    if given:
        return Path(given).absolute()
    program = PROGRAM.with_name("build-kubernetes")
    done = subprocess.run([program], stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit(done.returncode)
    return Path(done.stdout.strip())


def environment() -> dict[str, str]:
    """The environment of every process of the cluster: nothing of the caller's, for a proxy that
    is set there would catch the API server's calls of webhooks."""
    return {
        "PATH": f"{kubernetes() / 'bin'}:{PATH}",
        "HOME": "/root",
        # Without it a kubelet asks the cloud that it might be in, for 6 s.
        "AWS_EC2_METADATA_DISABLED": "true",
        # Otherwise iptables leaves its lock in the host's /run.
        "XTABLES_LOCKFILE": str(DIRECTORY / "xtables.lock"),
    }


# What `up` runs, beside the built Kubernetes, and where it is.
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PROGRAMS = (
    *("conntrack", "containerd", "ctr", "etcd", "ip", "iptables", "mount", "nsenter", "openssl"),
    *("runc", "unshare"),
)
PLUGINS = Path("/usr/lib/cni")
# In MB: images, their containers, etcd, logs.
ROOM = 1024


def check() -> None:
    """Rejects an unsafe name or unsafe addresses."""
    if not re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,8}[a-z0-9])?", NAME):
        raise SystemExit(
            f"cluster: CLUSTER_NAME is {NAME!r}; give it 1 to 10 lower-case letters, digits and -"
        )
    try:
        ipaddress.IPv4Network(f"{NET}.0.0/16")
    except ValueError:
        raise SystemExit(
            f"cluster: CLUSTER_NET is {NET!r}; give it two octets, such as 10.120"
        ) from None


def check_machine() -> None:
    """Reports early what would fail later in unclear ways."""
    missing = [program for program in PROGRAMS if shutil.which(program, path=PATH) is None]
    if not PLUGINS.is_dir():
        missing.append(str(PLUGINS))
    if missing:
        names = ", ".join(missing)
        raise SystemExit(f"cluster: missing: {names}; `make setup` as root installs them")
    place = next(path for path in DIRECTORY.parents if path.exists())
    free = shutil.disk_usage(place).free // 2**20
    if free < ROOM:
        raise SystemExit(
            f"cluster: a cluster takes {ROOM} MB, and {place} has {free} MB free;"
            " make room there, or name a directory of another disk by CLUSTER_DIR"
        )
