"""The files that pods wrote: found on the node, which is this machine, and counted."""

from __future__ import annotations

from pathlib import Path

from support.clusters import Cluster
from support.documents import Object
from support.files import every_line
from support.metrics import Metrics
from support.pods import GENERATOR, Pod


def logs_directory(cluster: Cluster, pod: Pod) -> Path:
    """Where a pod's files are on this machine."""
    volume = pod.volume("logs")
    if "emptyDir" in volume:
        directory = cluster.empty_dir(pod.uid, "logs")
    elif "hostPath" in volume:
        directory = cluster.on_node(volume["hostPath"]["path"])
    else:
        directory = claim_directory(cluster, pod, volume["persistentVolumeClaim"]["claimName"])
    (generator,) = [c for c in pod.object["spec"]["containers"] if c["name"] == GENERATOR]
    # Pods that share a volume write below a directory of their own name.
    return directory / pod.name if any("$(" in word for word in generator["args"]) else directory


def claim_directory(cluster: Cluster, pod: Pod, claim: str) -> Path:
    cluster.need_own("it reads files of the node")
    bound = pod.kubernetes.get("persistentvolumeclaim", claim)["spec"]["volumeName"]
    volume = pod.kubernetes.get("persistentvolume", bound)
    return cluster.on_node(volume["spec"]["hostPath"]["path"])


def written(cluster: Cluster, pod: Pod, generator: Object) -> int:
    """How many lines of a generator's there are to be read; those on standard output are taken to
    be all of this one."""
    output = generator.get("output", {})
    if "file" not in output:
        return len(pod.lines())
    return len(every_line(logs_directory(cluster, pod) / output["file"]["path"]))


def are_all_kept(metrics: Metrics, generator: Object) -> bool:
    """Whether no line of a generator's has been rotated away yet."""
    file = generator.get("output", {}).get("file", {})
    rotations = metrics.sum("visor_rotations_total", output=file.get("path", ""))
    return rotations <= file.get("rotation", {}).get("keep", 0) or rotations == 0
