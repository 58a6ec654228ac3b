"""Readiness means that lines are written: obstacles are reported, with the message of the component
that reports them."""

from __future__ import annotations

import pytest

from support.clusters import Cluster
from support.documents import Object, file
from support.kubernetes import Kubernetes
from support.sources import apply, shop


def events(kubernetes: Kubernetes, kind: str | None = None) -> list[Object]:
    found = kubernetes.list("events")
    return [e for e in found if kind in (None, e["involvedObject"]["kind"])]


def in_the_way(cluster: Cluster, name: str) -> Object:
    """A container that makes a directory where a log should be, before the generator begins."""
    return {
        "name": "first",
        "image": cluster.image,
        "args": ["prepare-directory", "--owner=65532:65532", f"/var/log/visor/{name}"],
    }


def test_a_pod_that_cannot_write_is_not_ready_and_its_source_says_why(
    cluster: Cluster, namespace: Kubernetes
) -> None:
    template = {"initContainers": [in_the_way(cluster, "access.log")]}
    source = apply(namespace, shop(output=file("access.log"), podTemplate=template))
    failing = source.wait_for("Available", "False", "OutputsFailing")
    pod = source.pod()
    assert pod.name in failing.message and "/var/log/visor/access.log" in failing.message
    assert "it is a directory" in failing.message
    assert source.condition("Ready") == failing
    assert source.status["failingPods"] == 1 and source.status["lines"] == 0
    assert not pod.is_ready and pod.restarts == 0
    reported = [e["reason"] for e in events(namespace, "FakeLogSource")]
    assert "OutputsFailing" in reported
    # As soon as it can write, it does, and is ready.
    (generator,) = shop(output=file("other.log"))["spec"]["generators"]
    source.change(generators=[generator])
    source.is_ready()
    assert source.pod().uid == pod.uid
    source.kubernetes.wait_for("lines", lambda: source.status["lines"] > 0)


def test_a_start_that_goes_well_has_no_warnings(namespace: Kubernetes) -> None:
    source = apply(namespace, shop(replicas=2))
    source.is_ready()
    warnings = [e for e in events(namespace) if e["type"] == "Warning"]
    assert warnings == []


WORKLOADS = {
    "Deployment": {},
    "StatefulSet": {},
    "DaemonSet": {},
    "Job": {"stopAfter": {"duration": "1h"}},
}


@pytest.mark.parametrize("workload", WORKLOADS)
def test_pods_that_the_server_rejects_are_reported_with_its_message(
    namespace: Kubernetes, workload: str
) -> None:
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"}}
    namespace.create({**quota, "spec": {"hard": {"pods": "0"}}})
    namespace.wait_for(
        "the quota to count", lambda: "hard" in namespace.get("quota", "none").get("status", {})
    )
    source = apply(namespace, shop(workload=workload, **WORKLOADS[workload]))

    def reported() -> bool:
        ready = source.condition("Ready")
        return bool(ready and "exceeded quota: none" in ready.message)

    namespace.wait_for("the server's words", reported)


def test_a_deployment_that_is_paused_is_reported(namespace: Kubernetes) -> None:
    source = apply(namespace, shop())
    source.is_ready()
    namespace.run("rollout", "pause", "deployment/shop")
    paused = source.wait_for("Progressing", "False", "Paused")
    assert "paused" in paused.message
    source.change(podTemplate={"annotations": {"note": "new"}})
    source.wait_for("Progressing", "True", "Paused")
    namespace.run("rollout", "resume", "deployment/shop")
    source.is_ready()


def test_a_deployment_with_a_claim_is_recreated_and_one_without_again_rolled(
    cluster: Cluster, namespace: Kubernetes
) -> None:
    # Older servers keep an emptyDir that is no longer applied, and reject the volume.
    cluster.need(22, "volumes that become of another kind")
    source = apply(namespace, shop())
    source.is_ready()

    def strategy() -> str:
        return source.children()["Deployment"]["spec"]["strategy"]["type"]

    assert strategy() == "RollingUpdate"
    source.change(volume={"persistentVolumeClaim": {"size": "16Mi"}})
    source.is_ready()
    assert strategy() == "Recreate"
    source.change(volume=None)
    source.is_ready()
    assert strategy() == "RollingUpdate"


def test_a_claim_that_cannot_be_what_is_configured_is_reported(namespace: Kubernetes) -> None:
    claim = {"persistentVolumeClaim": {"size": "16Mi"}}
    source = apply(namespace, shop(workload="StatefulSet", volume=claim))
    source.is_ready()
    source.change(volume={"persistentVolumeClaim": {"size": "8Mi"}})
    smaller = source.wait_for("Accepted", "False", "ClaimImmutable")
    assert "logs-shop-0" in smaller.message and "reduced" in smaller.message
    # No claim of this storage class can be expanded, and the server says so.
    source.change(volume={"persistentVolumeClaim": {"size": "32Mi"}})
    larger = source.wait_for("Accepted", "False", "Forbidden")
    assert "resize" in larger.message, larger
    source.change(volume=claim)
    source.is_ready()


def test_what_a_source_left_behind_can_be_adopted(namespace: Kubernetes) -> None:
    source = apply(namespace, shop())
    source.is_ready()
    before = source.children()["Deployment"]["metadata"]["uid"]
    namespace.run("delete", "fls", "shop", "--cascade=orphan")
    namespace.wait_until_gone("fls", "shop")
    again = apply(namespace, shop())
    taken = again.wait_for("Accepted", "False", "NameConflict")
    for kind in ("ConfigMap", "Service", "Deployment"):
        assert f"{kind} `shop` already exists" in taken.message
    assert "visor.dev/adopt=true" in taken.message
    assert again.condition("Stalled").status == "True"
    namespace.run("annotate", "fls", "shop", "visor.dev/adopt=true")
    again.is_ready()
    assert again.children()["Deployment"]["metadata"]["uid"] == before
    assert again.condition("Stalled") is None


def test_labels_of_a_source_are_those_of_its_children_and_pods(namespace: Kubernetes) -> None:
    document = shop()
    document["metadata"]["labels"] = {"team": "logs"}
    document["metadata"]["annotations"] = {"example.com/owner": "somebody"}
    source = apply(namespace, document)
    source.is_ready()
    for child in source.children().values():
        assert child["metadata"]["labels"]["team"] == "logs"
        annotations = child["metadata"]["annotations"]
        assert annotations["example.com/owner"] == "somebody"
        assert not [key for key in annotations if key.startswith("kubectl")]
    assert source.pod().object["metadata"]["labels"]["team"] == "logs"
