"""An operator of one namespace, with a Role instead of a ClusterRole."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.helm import Release
from support.kubernetes import KubectlError, Kubernetes
from support.operators import Operators
from support.sources import KIND, apply, shop


@pytest.fixture(scope="module")
def limited(
    nobody_else: None, release: Release, shared_namespace: Kubernetes
) -> Iterator[Operators]:
    """A release that lives in the namespace that it watches."""
    made = Release(
        release.cluster,
        release.home,
        name="visor-one",
        namespace=shared_namespace.namespace,
        values={
            **release.values,
            "watchNamespace": shared_namespace.namespace,
            "crds.install": "false",
        },
    )
    made.install()
    found = Operators(shared_namespace, release="visor-one")
    found.leader()
    yield found
    made.uninstall()


def test_it_serves_its_namespace(limited: Operators, shared_namespace: Kubernetes) -> None:
    source = apply(shared_namespace, shop())
    source.is_ready()
    source.change(replicas=2)
    shared_namespace.wait_for("another pod", lambda: len(source.pods()) == 2)
    source.is_ready()
    shared_namespace.wait_for("lines in the status", lambda: source.status["lines"] > 0)
    assert "Ready" in {e["reason"] for e in shared_namespace.list("events")}


def test_it_lets_other_namespaces_be(
    limited: Operators, shared_namespace: Kubernetes, namespace: Kubernetes
) -> None:
    elsewhere = apply(namespace, shop())
    here = apply(shared_namespace, {**shop(), "metadata": {"name": "after"}})
    here.is_ready()
    assert "status" not in elsewhere.object and elsewhere.children() == {}


def test_a_role_is_all_that_it_has(limited: Operators, shared_namespace: Kubernetes) -> None:
    account = f"system:serviceaccount:{shared_namespace.namespace}:visor-one"

    def may(verb: str, what: str, kubernetes: Kubernetes) -> bool:
        try:
            said = kubernetes.run("auth", "can-i", verb, what, f"--as={account}")
        except KubectlError:
            return False
        return said.strip() == "yes"

    assert may("list", KIND, shared_namespace)
    for namespace in ("default", "kube-system"):
        for verb, what in (("list", KIND), ("get", "pods"), ("get", "leases")):
            assert not may(verb, what, shared_namespace.within(namespace))
    assert not may("get", "secrets", shared_namespace)
    bindings = shared_namespace.list("clusterrolebindings")
    assert not [b for b in bindings for s in b.get("subjects", []) if s["name"] == "visor-one"]
