"""What runs the pods: changed from one kind to the next, and a source that ends."""

from __future__ import annotations

import pytest

from support.documents import Object, access, rate, stream
from support.documents import source as document
from support.kubernetes import Kubernetes
from support.pods import is_diagnostic
from support.sources import KIND, Source, apply, shop


def kind_of_workload(source: Source) -> str | None:
    workload = source.workload()
    return workload["kind"] if workload else None


def uid_of_workload(source: Source) -> str | None:
    workload = source.workload()
    return workload["metadata"]["uid"] if workload else None


def test_a_changed_workload_replaces_the_one_before(namespace: Kubernetes) -> None:
    source = apply(namespace, shop())
    source.is_ready()
    for kind in ("StatefulSet", "DaemonSet", "Deployment"):
        before = {pod.uid for pod in source.pods()}
        source.change(workload=kind)
        namespace.wait_for(kind, lambda kind=kind: kind_of_workload(source) == kind)

        def replaced(before: set[str] = before) -> bool:
            pods = {pod.uid for pod in source.pods()}
            return bool(pods) and not pods & before

        namespace.wait_for("its pods alone", replaced)
        source.is_ready()
        assert source.status["workload"] == kind


def test_a_changed_claim_replaces_a_stateful_set(namespace: Kubernetes) -> None:
    """Whether it is one of the immutable fields."""
    source = apply(namespace, shop(workload="StatefulSet", volume={"emptyDir": {}}))
    source.is_ready()
    before = uid_of_workload(source)
    source.change(volume={"persistentVolumeClaim": {"size": "16Mi"}, "emptyDir": None})
    namespace.wait_for("another", lambda: uid_of_workload(source) not in (None, before))
    source.is_ready()
    claim = source.pod().volume("logs")["persistentVolumeClaim"]
    assert claim["claimName"] == f"logs-{source.pod().name}"


def finite(lines: int, **spec: object) -> Object:
    """A source that writes so many lines on standard output."""
    quick = stream("readers", "Access", rate(5000))
    return document("finite", access("web", quick), stopAfter={"lines": lines}, **spec)


@pytest.mark.parametrize("replicas", [1, 2])
def test_a_finite_source_completes(namespace: Kubernetes, replicas: int) -> None:
    source = apply(namespace, finite(5000, replicas=replicas))
    source.wait_for("Complete", reason="Finished")
    source.wait_for("Ready", reason="Finished")
    wanted = 5000 * replicas
    namespace.wait_for("the lines", lambda: source.status.get("lines") == wanted)
    pods = source.pods()
    assert len(pods) == replicas
    logs = [[line for line in pod.logs() if not is_diagnostic(line)] for pod in pods]
    assert [len(lines) for lines in logs] == [5000] * replicas
    assert source.status["bytes"] == sum(len(line) + 1 for lines in logs for line in lines)
    # It is complete: unless there is something else to write, it is not run again.
    namespace.run("annotate", KIND, "finite", "shop.example/looked-at=again")
    source.change(suspend=False, workload="Job")
    source.wait_for("Complete", reason="Finished")
    after = source.pods()
    assert [pod.uid for pod in after] == [pod.uid for pod in pods]
    assert [pod.restarts for pod in after] == [0] * replicas
    assert kind_of_workload(source) == "Job"


def test_a_source_that_becomes_finite_becomes_a_job(namespace: Kubernetes) -> None:
    source = apply(namespace, shop(lines_per_second=2000))
    source.is_ready()
    source.change(stopAfter={"lines": 3000})
    source.wait_for("Complete", reason="Finished")
    assert kind_of_workload(source) == "Job"


def test_a_finite_source_with_another_document_runs_again(namespace: Kubernetes) -> None:
    source = apply(namespace, finite(1000))
    source.wait_for("Complete", reason="Finished")
    before = source.pod().uid
    apply(namespace, finite(2000))
    namespace.wait_for("another pod", lambda: [p.uid for p in source.pods()] not in ([], [before]))
    source.wait_for("Complete", reason="Finished")
    assert source.pod().uid != before
