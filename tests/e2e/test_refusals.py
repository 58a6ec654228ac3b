"""Invalid changes are rejected with their cause and path; running pods and everything else
continue."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from support.clusters import Cluster
from support.documents import Object
from support.kubernetes import KubectlError, Kubernetes
from support.sources import KIND, Source, apply, shop

BAD_TIME_ZONE = {"timeZone": "Europe/Nowhere"}


@pytest.mark.unvalidated
def test_a_source_that_breaks_a_rule_says_where_and_is_reverted_later(
    namespace: Kubernetes,
) -> None:
    source = apply(namespace, shop(**BAD_TIME_ZONE))
    for condition in (source.wait_for("Accepted", "False"), source.wait_for("Ready", "False")):
        assert condition.reason == "Invalid"
        assert "spec.timeZone" in condition.message and "Europe/Nowhere" in condition.message
    assert source.children() == {}
    source.change(timeZone="Europe/Berlin")
    source.wait_for("Accepted", reason="Valid")
    source.is_ready()


@pytest.mark.unvalidated
def test_the_last_good_pods_continue_when_a_change_is_rejected(namespace: Kubernetes) -> None:
    source = apply(namespace, shop())
    source.is_ready()
    before = source.pod()
    source.change(replicas=3, **BAD_TIME_ZONE)
    rejected = source.wait_for("Accepted", "False", "Invalid")
    assert "spec.timeZone" in rejected.message
    assert source.wait_for("Available").reason == "PodsReady"
    lines = before.metrics().lines()
    namespace.wait_for("more lines", lambda: before.metrics().lines() > lines)
    after = source.pod()
    assert (after.uid, after.restarts) == (before.uid, 0)
    namespace.wait_for("an event", lambda: "Invalid" in [e["reason"] for e in events_of(source)])
    source.change(timeZone=None)
    source.is_ready()
    assert len(source.pods()) == 3


def events_of(source: Source) -> list[Object]:
    about = source.object["metadata"]["uid"]
    return [e for e in source.kubernetes.list("events") if e["involvedObject"].get("uid") == about]


FOREIGN = {
    "configmap": {"apiVersion": "v1", "kind": "ConfigMap", "data": {"source.yaml": "mine"}},
    "service": {"apiVersion": "v1", "kind": "Service", "spec": {"ports": [{"port": 80}]}},
    "persistentvolumeclaim": {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Mi"}},
            # Nothing binds it: it stays as it is.
            "storageClassName": "none",
        },
    },
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_what_belongs_to_another_owner_is_not_touched(namespace: Kubernetes, kind: str) -> None:
    namespace.create({**FOREIGN[kind], "metadata": {"name": "shop"}})
    volume = {"persistentVolumeClaim": {"size": "16Mi"}}
    source = apply(namespace, shop(volume=volume))
    rejected = source.wait_for("Accepted", "False", "NameConflict")
    assert "shop" in rejected.message and FOREIGN[kind]["kind"] in rejected.message
    # The workload comes last: there is none without the rest.
    assert source.workload() is None
    assert FOREIGN[kind]["kind"] not in source.children()
    theirs = namespace.get(kind, "shop")
    assert "app.kubernetes.io/managed-by" not in theirs["metadata"].get("labels", {})
    assert "visor-operator" not in {m["manager"] for m in theirs["metadata"]["managedFields"]}
    # A source that is deleted takes nothing of theirs with it.
    namespace.delete(kind, "shop")
    source.is_ready()
    assert source.children()[FOREIGN[kind]["kind"]]["metadata"]["uid"] != theirs["metadata"]["uid"]


def test_what_a_former_source_of_the_name_left_is_waited_for(namespace: Kubernetes) -> None:
    former = {"apiVersion": "visor.dev/v1alpha1", "kind": "FakeLogSource", "name": "shop"}
    owner = {**former, "uid": "00000000-0000-0000-0000-000000000000", "controller": True}
    # The garbage collector wants to remove it at once, and may not.
    held = {"name": "shop", "ownerReferences": [owner], "finalizers": ["shop.example/held"]}
    namespace.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": held})
    source = apply(namespace, shop())
    rejected = source.wait_for("Accepted", "False", "NameConflict")
    assert "a deleted source of this name" in rejected.message
    namespace.patch("configmap", "shop", {"metadata": {"finalizers": None}})
    source.is_ready()


@contextmanager
def without_schema(kubernetes: Kubernetes) -> Iterator[None]:
    """The API server takes anything for a source."""
    schema = kubernetes.get("crd", KIND)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]

    def replace(schema: Object) -> None:
        definition = kubernetes.get("crd", KIND)
        definition["spec"]["versions"][0]["schema"] = {"openAPIV3Schema": schema}
        kubernetes.run("replace", "-f", "-", stdin=json.dumps(definition))

    replace({"type": "object", "x-kubernetes-preserve-unknown-fields": True})
    try:
        yield
    finally:
        replace(schema)


@pytest.mark.unvalidated
def test_a_malformed_object_does_not_keep_others_from_being_served(
    cluster: Cluster, namespace: Kubernetes
) -> None:
    cluster.need_own("it changes the definition of all sources")
    malformed = shop()
    malformed["metadata"]["name"] = "malformed"
    malformed["spec"]["generators"] = "none"
    with without_schema(namespace):
        # The API server needs a moment to follow.
        namespace.wait_for("no schema", lambda: taken(namespace, malformed))
        broken = Source(namespace, "malformed")
        rejected = broken.wait_for("Accepted", "False", "Malformed")
        assert "generators" in rejected.message
        source = apply(namespace, shop())
        source.is_ready()
        broken.delete()
        namespace.wait_until_gone(KIND, "malformed")


def taken(kubernetes: Kubernetes, document: Object) -> bool:
    try:
        kubernetes.run("apply", "--validate=false", "-f", "-", stdin=json.dumps(document))
    except KubectlError:
        return False
    return True
