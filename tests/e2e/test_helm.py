"""The life of a release: tested, upgraded, uninstalled and installed again, while sources continue.
The last module of all, because Visor is uninstalled meanwhile."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import pytest

from support.documents import Object
from support.helm import Release
from support.kubernetes import Kubernetes, owner_of
from support.operators import Operators
from support.sources import KIND, Source, apply, shop


@pytest.fixture(scope="module")
def source(shared_namespace: Kubernetes) -> Source:
    made = apply(shared_namespace, shop())
    made.is_ready()
    return made


MONITORS = "podmonitors.monitoring.coreos.com"
# As much of the Prometheus Operator as an API server knows.
MONITORS_DEFINITION = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": MONITORS},
    "spec": {
        "group": "monitoring.coreos.com",
        "names": {"kind": "PodMonitor", "plural": "podmonitors"},
        "scope": "Namespaced",
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "x-kubernetes-preserve-unknown-fields": True,
                    }
                },
            }
        ],
    },
}


@pytest.fixture(scope="module")
def monitors(shared_namespace: Kubernetes) -> Iterator[None]:
    """The API server knows PodMonitors."""
    is_there = shared_namespace.find("crd", MONITORS) is not None
    if not is_there:
        shared_namespace.create(MONITORS_DEFINITION)
        wait = ("wait", f"crd/{MONITORS}", "--for=condition=Established", "--timeout=60s")
        shared_namespace.run(*wait)
    yield
    if not is_there:
        shared_namespace.delete("crd", MONITORS)


def definition(kubernetes: Kubernetes) -> Object:
    return kubernetes.get("crd", KIND)


def test_helm_test(release: Release, source: Source) -> None:
    for _ in range(2):
        output_text = release.test()
        assert (
            "Succeeded" in output_text
            and "POD LOGS" in output_text
            and "/readyz: ok" in output_text
        )
    # The pod that asked stays for its logs, until there is another one.
    tests = "app.kubernetes.io/component=test"
    assert len(source.kubernetes.within(release.namespace).list("pods", tests)) == 1


def test_an_upgrade_replaces_the_operators_and_leaves_sources_alone(
    release: Release, operators: Operators, source: Source, monitors: None
) -> None:
    before = source.pod()
    lines = before.metrics().lines()
    old = set(operators.names())
    # A definition of an earlier version: an upgrade brings today's.
    kept = definition(source.kubernetes)["spec"]["versions"][0]["additionalPrinterColumns"]
    patch = '[{"op": "remove", "path": "/spec/versions/0/additionalPrinterColumns"}]'
    source.kubernetes.run("patch", "crd", KIND, "--type=json", f"--patch={patch}")
    release.values["metrics.podMonitors.enabled"] = "true"
    release.install()
    operators.leader()
    assert not old & set(operators.names())
    now = definition(source.kubernetes)["spec"]["versions"][0]["additionalPrinterColumns"]
    assert now == kept
    source.is_ready()
    after = source.pod()
    assert (after.uid, after.restarts) == (before.uid, 0)
    assert after.metrics().lines() > lines
    source.kubernetes.wait_for("the status", lambda: source.status["lines"] > lines)


def test_a_source_has_a_monitor_where_that_is_configured(source: Source, monitors: None) -> None:
    """The previous upgrade has requested it."""
    kubernetes = source.kubernetes
    found = kubernetes.wait_for("a PodMonitor", lambda: kubernetes.find(MONITORS, source.name))
    selector = found["spec"]["selector"]["matchLabels"]
    chosen = ",".join(f"{name}={value}" for name, value in selector.items())
    (pod,) = kubernetes.list("pods", chosen)
    assert pod["metadata"]["uid"] == source.pod().uid
    assert owner_of(found) == source.object["metadata"]["uid"]
    kubernetes.delete(MONITORS, source.name)
    uid = found["metadata"]["uid"]

    def made_again() -> bool:
        monitor = kubernetes.find(MONITORS, source.name)
        return monitor is not None and monitor["metadata"]["uid"] != uid

    kubernetes.wait_for("another one", made_again)


def test_a_rollback_leaves_sources_alone(
    release: Release, operators: Operators, source: Source, monitors: None
) -> None:
    """To what was before the upgrade, and forward again."""
    before = source.pod()
    lines = before.metrics().lines()
    for step in (lambda: release.run("rollback", release.name, "--wait"), release.install):
        old = set(operators.names())
        step()
        operators.leader()
        assert not old & set(operators.names())
        source.is_ready()
        after = source.pod()
        assert (after.uid, after.restarts) == (before.uid, 0)
        counted = source.status["lines"]
        assert counted >= lines
        lines = counted + 1
        goes_on = functools.partial(has_counted, source, lines)
        source.kubernetes.wait_for("more lines", goes_on)


def has_counted(source: Source, lines: float) -> bool:
    return source.status["lines"] >= lines


def test_a_removed_release_leaves_definition_sources_and_pods(
    release: Release, operators: Operators, source: Source
) -> None:
    before = source.pod()
    counted = source.status["lines"]
    release.uninstall()
    assert operators.names() == []
    assert definition(source.kubernetes)["metadata"]["name"] == KIND
    lines = before.metrics().lines()
    source.kubernetes.wait_for("more lines", lambda: before.metrics().lines() > lines)
    # No operator answers it yet.
    source.change(replicas=2)
    release.install()
    operators.leader()
    source.kubernetes.wait_for("another pod", lambda: len(source.pods()) == 2)
    source.is_ready()
    assert before.uid in {pod.uid for pod in source.pods()}
    source.kubernetes.wait_for("its count to go on", lambda: source.status["lines"] > counted)
