"""The files that containerd, its network plugins, the kubelet and the API server are configured
by."""

from __future__ import annotations

import os
from pathlib import Path

from node import settings
from node.files import write

CONTAINERD = """\
version = 2
root = "{directory}/containerd"
state = "/run/containerd"
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs",
]

[grpc]
  address = "{socket}"

[plugins."io.containerd.internal.v1.opt"]
  path = "{directory}/containerd/opt"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  netns_mounts_under_state_dir = true
  # A root without CAP_SYS_RESOURCE can't lower a score: without this runc says
  # "can't get final child's PID from pipe".
  restrict_oom_score_adj = true

[plugins."io.containerd.grpc.v1.cri".containerd]
  snapshotter = "{snapshotter}"

[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "/usr/lib/cni"
  conf_dir = "{directory}/cni"
"""

PAUSE = "localhost/pause:1"
# What the API server keeps a record of.
AUDIT = settings.ETC / "audit.json"


def make() -> None:
    """Writes all of them."""
    write(settings.ETC / "containerd.toml", containerd())
    write(settings.DIRECTORY / "cni" / "10-bridge.conflist", network())
    write(settings.ETC / "kubelet.json", kubelet())
    write(AUDIT, audit())


def audit() -> dict[str, object]:
    """All that service accounts ask for, and of Leases what they write; nothing of the cluster's
    own daemons, which are other users."""
    pods = {"userGroups": ["system:serviceaccounts"]}
    leases = {"group": "coordination.k8s.io", "resources": ["leases"]}
    return {
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived", "ResponseStarted"],
        "rules": [
            {"level": "Request", "resources": [leases], **pods},
            {"level": "Metadata", **pods},
            {"level": "None"},
        ],
    }


def containerd() -> str:
    return CONTAINERD.format(
        directory=settings.DIRECTORY,
        socket=settings.SOCKET,
        pause=PAUSE,
        snapshotter=snapshotter(),
    )


def snapshotter() -> str:
    """Overlays, unless this directory is on one itself, as it is within a container: overlays
    can't be stacked, and copies do, too."""
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    directory = str(settings.DIRECTORY)
    above = [(at, kind) for _, at, kind, *_ in mounts if os.path.commonpath([at, directory]) == at]
    _, kind = max(above, key=lambda mount: len(mount[0]))
    return "native" if kind == "overlay" else "overlayfs"


def network() -> dict[str, object]:
    addresses = {
        "type": "host-local",
        "dataDir": str(settings.PRIVATE / "addresses"),
        "ranges": [[{"subnet": settings.PODS}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    bridge = {"type": "bridge", "bridge": "cni0", "isGateway": True, "hairpinMode": True}
    return {
        "cniVersion": "0.4.0",
        "name": settings.NAME,
        "plugins": [
            {**bridge, "ipam": addresses},
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ],
    }


def kubelet() -> dict[str, object]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": settings.NODE,
        "port": 10350,
        "readOnlyPort": 0,
        "healthzPort": 0,
        "tlsCertFile": str(settings.PKI / "serving.crt"),
        "tlsPrivateKeyFile": str(settings.PKI / "serving.key"),
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": False},
            "x509": {"clientCAFile": str(settings.PKI / "ca.crt")},
        },
        "authorization": {"mode": "AlwaysAllow"},
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{settings.CGROUP}",
        "failSwapOn": False,
        # The disk is the developer's: it being full is no reason to throw pods out.
        "evictionHard": {
            "nodefs.available": "0%",
            "nodefs.inodesFree": "0%",
            "imagefs.available": "0%",
        },
        "imageGCHighThresholdPercent": 100,
        # Or it takes 10 s until the node is Ready.
        "nodeStatusUpdateFrequency": "1s",
        "nodeStatusReportFrequency": "60s",
        # The defaults of later releases. With those of 1.20, changes of pods are seen late.
        "kubeAPIQPS": 50,
        "kubeAPIBurst": 100,
        "eventRecordQPS": 50,
        "eventBurst": 100,
        "volumePluginDir": str(settings.PRIVATE / "flexvolumes"),
        "clusterDNS": [settings.NODE],
        "clusterDomain": "cluster.local",
        "serializeImagePulls": False,
    }
