"""Replicas: as many as are asked for, and none writes what another does, nor where it does."""

from __future__ import annotations

import json
import os
import signal

from support.clusters import Cluster, processes_of
from support.documents import file
from support.files import every_line
from support.kubernetes import Kubernetes
from support.pods import METRICS_PORT
from support.sources import Source, apply, shop
from support.volumes import logs_directory

CLAIM = {"persistentVolumeClaim": {"size": "64Mi"}}


def scale(source: Source, replicas: int) -> None:
    """As a person does it, by the short name."""
    source.kubernetes.run("scale", f"fls/{source.name}", f"--replicas={replicas}")


def test_kubectl_scale(namespace: Kubernetes) -> None:
    source = apply(namespace, shop())
    source.is_ready()
    scale(source, 3)
    namespace.wait_for("three pods", lambda: len(source.pods()) == 3)
    source.is_ready()
    assert source.status["replicas"] == source.status["readyReplicas"] == 3
    seen = json.loads(
        namespace.raw(
            f"/apis/visor.dev/v1alpha1/namespaces/{namespace.namespace}"
            f"/fakelogsources/{source.name}/scale"
        )
    )
    assert seen["spec"]["replicas"] == seen["status"]["replicas"] == 3
    # What an autoscaler finds the pods by.
    assert len(namespace.list("pods", seen["status"]["selector"])) == 3
    scale(source, 0)
    source.wait_for("Available", reason="ScaledToZero")
    namespace.wait_for("no pod", lambda: not source.pods())
    # Pods count until the Deployment reports them as gone.
    source.is_ready()
    assert source.status["readyReplicas"] == 0


def test_replicas_write_lines_of_their_own(namespace: Kubernetes) -> None:
    source = apply(namespace, shop(lines_per_second=500, replicas=2))
    source.is_ready()
    namespace.wait_for("lines", lambda: all(p.metrics().lines() > 500 for p in source.pods()))
    requests = []
    for pod in source.pods():
        lines = pod.lines()[:500]
        # Without the time.
        requests.append([line.partition("] ")[2] for line in lines])
    first, second = requests
    assert len(first) == len(second) == 500
    same = sum(one == other for one, other in zip(first, second, strict=True))
    assert same < 50


def test_pods_that_share_a_volume_write_files_of_their_own(
    cluster: Cluster, namespace: Kubernetes
) -> None:
    source = apply(namespace, shop(replicas=2, volume=CLAIM, output=file("access.log")))
    source.is_ready()
    metrics = source.suspend()
    one, other = source.pods()
    assert logs_directory(cluster, one).parent == logs_directory(cluster, other).parent
    for pod in (one, other):
        log = logs_directory(cluster, pod) / "access.log"
        counted = metrics[pod.name].lines()
        namespace.wait_for("its lines", lambda log=log, n=counted: len(every_line(log)) == n)


def test_the_lines_of_a_container_that_has_ended_still_count(
    cluster: Cluster, namespace: Kubernetes
) -> None:
    cluster.need_own("it ends a process of the node")
    source = apply(namespace, shop(lines_per_second=1000, volume=CLAIM, output=file("access.log")))
    source.is_ready()
    pod = source.pod()
    log = logs_directory(cluster, pod) / "access.log"
    namespace.wait_for("lines", lambda: pod.metrics().lines() > 2000)
    (process,) = processes_of(pod.uid)
    os.kill(process, signal.SIGTERM)
    namespace.wait_for("another container", lambda: source.pod().restarts == 1)
    source.is_ready()
    last = source.suspend()[pod.name].lines()
    lines = len(every_line(log))
    assert lines > last + 2000
    namespace.wait_for(f"{lines} lines in the status", lambda: source.status["lines"] == lines)
    assert source.status["bytes"] == log.stat().st_size
    (present,) = source.status["countedPods"]
    assert present.split(":")[1:3] == ["1", str(int(last))]


def test_no_more_lines_count_than_pods_wrote_that_have_ended(
    cluster: Cluster, namespace: Kubernetes
) -> None:
    source = apply(
        namespace, shop(lines_per_second=1000, replicas=2, volume=CLAIM, output=file("access.log"))
    )
    source.is_ready()
    namespace.wait_for("lines", lambda: source.status["lines"] > 1000)
    pods = source.pods()
    logs = [logs_directory(cluster, pod) / "access.log" for pod in pods]
    scale(source, 0)
    source.wait_for("Available", reason="ScaledToZero")
    namespace.wait_for("their end", lambda: not any(processes_of(pod.uid) for pod in pods))
    namespace.wait_for("no rate", lambda: source.status.get("rate") == "0.0/s")
    # Each wrote its last line within its grace, and whole. A kubelet of 1.20 may forget how a
    # container ended, and then what it was last asked is what counts.
    assert 1000 < source.status["lines"] <= sum(len(every_line(log)) for log in logs)


def test_the_headless_service_finds_the_pods(namespace: Kubernetes) -> None:
    source = apply(namespace, shop(replicas=2))
    source.is_ready()

    def addresses() -> set[str]:
        subsets = namespace.get("endpoints", source.name).get("subsets", [])
        return {
            address["ip"]
            for subset in subsets
            for address in subset.get("addresses", [])
            if METRICS_PORT in [port["port"] for port in subset["ports"]]
        }

    pods = {pod.object["status"]["podIP"] for pod in source.pods()}
    namespace.wait_for("their addresses", lambda: addresses() == pods)
