"""An operator of some namespaces, with a Role in each instead of a ClusterRole."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from e2e.conftest import new_namespace
from support.audit import Audit
from support.clusters import Cluster
from support.helm import Release
from support.kubernetes import KubectlError, Kubernetes
from support.operators import Operators
from support.sources import KIND, apply, shop


@dataclass(frozen=True)
class Limited:
    """A release that watches two namespaces, in the first of which it lives."""

    operators: Operators
    one: Kubernetes
    two: Kubernetes
    # What was asked of the API server since before it was there.
    audit: Audit | None


@pytest.fixture(scope="module")
def limited(
    cluster: Cluster, no_other_operator: None, release: Release, shared_namespace: Kubernetes
) -> Iterator[Limited]:
    with new_namespace(cluster, "namespace mode two", "restricted") as two:
        audit = Audit(cluster) if cluster.own else None
        made = Release(
            release.cluster,
            release.home,
            name="visor-two",
            namespace=shared_namespace.namespace,
            values={
                **release.values,
                "watchNamespaces": f"{{{shared_namespace.namespace},{two.namespace}}}",
                "crds.install": "false",
                "operator.allow": "{}",
                "operator.forbid": "{NodePlacement}",
            },
        )
        made.install()
        found = Operators(shared_namespace, release="visor-two")
        found.leader()
        yield Limited(found, shared_namespace, two, audit)
        made.uninstall()


@pytest.mark.parametrize("which", ["one", "two"])
def test_it_serves_its_namespaces(limited: Limited, which: str) -> None:
    kubernetes: Kubernetes = getattr(limited, which)
    source = apply(kubernetes, shop())
    source.is_ready()
    source.change(replicas=2)
    kubernetes.wait_for("another pod", lambda: len(source.pods()) == 2)
    source.is_ready()
    kubernetes.wait_for("lines in the status", lambda: source.status["lines"] > 0)
    assert "Ready" in {e["reason"] for e in kubernetes.list("events")}


def test_what_is_forbidden_is_not_made(limited: Limited) -> None:
    specs = {
        ("one", "--allow HostPath"): {"volume": {"hostPath": {"path": "/var/log"}}},
        ("two", "--forbid NodePlacement"): {"workload": "DaemonSet"},
    }
    for (which, reported), spec in specs.items():
        kubernetes: Kubernetes = getattr(limited, which)
        source = apply(kubernetes, {**shop(**spec), "metadata": {"name": "greedy"}})
        rejected = source.wait_for("Accepted", "False", "NotAllowed")
        assert reported in rejected.message and source.children() == {}
        source.delete()


def test_its_metrics_are_of_both(limited: Limited) -> None:
    for kubernetes in (limited.one, limited.two):
        apply(kubernetes, {**shop(), "metadata": {"name": "counted"}}).is_ready()
    sources = len(limited.one.list(KIND)) + len(limited.two.list(KIND))

    def counted() -> bool:
        metrics = limited.operators.metrics(limited.operators.leader())
        by_state = metrics.sum("visor_operator_sources")
        ready = metrics.sum("visor_operator_source_conditions", condition="Ready", status="True")
        return by_state == ready == sources

    limited.one.wait_for("both", counted)


def test_it_ignores_other_namespaces(limited: Limited, namespace: Kubernetes) -> None:
    elsewhere = apply(namespace, shop())
    for kubernetes in (limited.one, limited.two):
        apply(kubernetes, {**shop(), "metadata": {"name": "after"}}).is_ready()
    assert "status" not in elsewhere.object and elsewhere.children() == {}


def test_a_role_is_all_that_it_has(limited: Limited) -> None:
    home = limited.one
    account = f"system:serviceaccount:{home.namespace}:visor-two"

    def may(verb: str, what: str, kubernetes: Kubernetes) -> bool:
        try:
            output_text = kubernetes.run("auth", "can-i", verb, what, f"--as={account}")
        except KubectlError:
            return False
        return output_text.strip() == "yes"

    assert may("list", KIND, home) and may("list", KIND, limited.two)
    for namespace in ("default", "kube-system"):
        for verb, what in (("list", KIND), ("get", "pods"), ("get", "leases")):
            assert not may(verb, what, home.within(namespace))
    assert not may("get", "secrets", home)
    # It may read the Lease of another operator there, but not write it.
    assert may("get", "leases", limited.two)
    assert not any(may(verb, "leases", limited.two) for verb in ("create", "patch", "update"))
    bindings = home.list("clusterrolebindings")
    assert not [b for b in bindings for s in b.get("subjects", []) if s["name"] == "visor-two"]


def test_it_asks_for_nothing_else(cluster: Cluster, limited: Limited) -> None:
    cluster.need_own("it reads what the API server notes")
    assert limited.audit
    requests = limited.audit.requests(f"{limited.one.namespace}:visor-two")
    assert {r.what.get("namespace") for r in requests if r.what} == {
        limited.one.namespace,
        limited.two.namespace,
    }
    # Of the cluster, what it serves.
    others = {r.event["requestURI"].partition("?")[0] for r in requests if not r.what}
    assert others <= {"/version", "/api", "/apis"}, others
    rejected = [r for r in requests if r.event["responseStatus"]["code"] in (401, 403)]
    assert not rejected, list(map(str, rejected[:5]))
