"""A change of what is generated reaches the pods that run; a change of the pods replaces them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from support.documents import STDOUT, Object, access, error, rate, stream
from support.kubernetes import Kubernetes
from support.metrics import Metrics
from support.pods import lines_by_generator
from support.sources import Source, apply, shop
from support.waiting import wait_for

# Without an annotation, a kubelet needs a minute or more to update a changed ConfigMap.
SECONDS = 30.0
TARGET = "visor_configured_lines_per_second"


@pytest.fixture(scope="module")
def two_pods(shared_namespace: Kubernetes) -> Source:
    source = apply(shared_namespace, shop(lines_per_second=20, replicas=2))
    source.is_ready()
    return source


class Watched:
    """The pods of a source while it is changed: the same pods keep running, with their counters."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.uids = {pod.uid for pod in source.pods()}
        self.before = {pod.name: pod.metrics() for pod in source.pods()}

    def wait_for(self, what: str, condition: Callable[[Metrics], bool]) -> dict[str, Metrics]:
        """Waits until the metrics of each pod are so."""

        def holds() -> dict[str, Metrics] | None:
            metrics = {pod.name: pod.metrics() for pod in self.source.pods()}
            return metrics if all(map(condition, metrics.values())) else None

        after = wait_for(what, holds, SECONDS, pause=0.2)
        pods = self.source.pods()
        assert {pod.uid for pod in pods} == self.uids
        assert [pod.restarts for pod in pods] == [0] * len(pods)
        for name, metrics in after.items():
            for series, value in self.before[name].samples.items():
                assert not series[0].endswith("_total") or metrics.samples[series] >= value
        return after


def web(*streams: Object) -> Object:
    return access("web", *streams, output=STDOUT)


def test_a_new_rate_reaches_pods_that_run(two_pods: Source) -> None:
    pods = Watched(two_pods)
    assert two_pods.lines_per_second() == 40
    two_pods.change(generators=[web(stream("readers", "Access", rate(300)))])
    after = pods.wait_for("the new rate", lambda metrics: metrics.sum(TARGET) == 300)
    more = pods.wait_for("lines", lambda metrics: metrics.lines() >= 1000)
    assert all(more[name].lines() > metrics.lines() for name, metrics in after.items())
    two_pods.is_ready()
    assert two_pods.status["configuredRate"] == "600/s"


def test_streams_and_generators_come_and_go_in_pods_that_run(two_pods: Source) -> None:
    pods = Watched(two_pods)
    daemon = error("daemon", stream("failures", "Error", rate(100)), output=STDOUT)
    two_pods.change(generators=[web(stream("writers", "Access", rate(50))), daemon])

    def both_write(metrics: Metrics) -> bool:
        return all(metrics.lines(stream=name) > 0 for name in ("writers", "failures"))

    pods.wait_for("lines of the new ones", both_write)
    two_pods.change(generators=[web(stream("writers", "Access", rate(50)))])
    after = pods.wait_for("its end", lambda metrics: metrics.sum(TARGET) == 50)
    assert all(lines_by_generator(metrics)["daemon"] > 0 for metrics in after.values())


def test_a_suspended_source_keeps_its_pods_and_continues_later(two_pods: Source) -> None:
    pods = Watched(two_pods)
    suspended = two_pods.suspend()

    def lines() -> int:
        return sum(pod.metrics().lines() for pod in two_pods.pods())

    silent = sum(metrics.lines() for metrics in suspended.values())
    kubernetes = two_pods.kubernetes
    kubernetes.wait_for("a status that says so", lambda: two_pods.status["lines"] == silent)
    kubernetes.wait_for("no rate", lambda: two_pods.status.get("rate") == "0.0/s")
    assert two_pods.status["configuredRate"] == "0.0/s"
    assert lines() == silent
    two_pods.change(suspend=False)
    pods.wait_for("its rate again", lambda metrics: metrics.sum(TARGET) == 50)
    kubernetes.wait_for("lines again", lambda: lines() > silent + 100)
    two_pods.is_ready()


def test_a_change_of_the_pods_replaces_them(two_pods: Source) -> None:
    before = {pod.uid for pod in two_pods.pods()}
    two_pods.change(podTemplate={"annotations": {"shop.example/round": "2"}})

    def replaced() -> bool:
        pods = two_pods.pods()
        return len(pods) == 2 and not before & {pod.uid for pod in pods}

    two_pods.kubernetes.wait_for("other pods", replaced)
    two_pods.is_ready()
    for pod in two_pods.pods():
        assert pod.object["metadata"]["annotations"]["shop.example/round"] == "2"
    two_pods.kubernetes.wait_for("lines", lambda: two_pods.lines_per_second() == 100)


def test_removed_fields_of_the_pods_are_removed(namespace: Kubernetes) -> None:
    notes = {"shop.example/team": "web"}
    source = apply(namespace, shop(podTemplate={"annotations": notes, "nodeSelector": {}}))
    source.is_ready()

    def annotations() -> Object:
        return source.workload()["spec"]["template"]["metadata"].get("annotations", {})

    assert notes.items() <= annotations().items()
    # One is added first: the fields of the creation are handed over once, and only once.
    source.change(podTemplate={"annotations": {"shop.example/round": "2"}})
    namespace.wait_for("another note", lambda: "shop.example/round" in annotations())
    assert notes.items() <= annotations().items()
    source.change(podTemplate=None)
    namespace.wait_for("no note", lambda: not {*notes, "shop.example/round"} & set(annotations()))
    source.is_ready()
    managers = source.workload()["metadata"]["managedFields"]
    ours = [m["operation"] for m in managers if m["manager"] == "visor-operator"]
    assert ours == ["Apply"]
