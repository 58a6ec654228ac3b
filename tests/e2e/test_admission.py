"""Invalid sources are denied on admission, with the messages of `visor validate`; fields without
effect are warnings."""

from __future__ import annotations

import json
import subprocess

import pytest

from support.documents import Object, access, source, stream
from support.kubernetes import KubectlError, Kubernetes
from support.sources import KIND, Source, apply, shop


def applied(kubernetes: Kubernetes, document: Object) -> subprocess.CompletedProcess[str]:
    """The output of kubectl for a document that it applies."""
    words = [*kubernetes.command(), "apply", "-f", "-"]
    return subprocess.run(words, input=json.dumps(document), text=True, capture_output=True)


def custom(log_format: str) -> Object:
    web = access("web", stream("readers", "Access", {"fixed": "1s"}))
    web["access"] = {"format": "Custom", "logFormat": log_format}
    return source("shop", web)


MISTAKES = {
    "time zone": (shop(timeZone="Europe/Nowhere"), "spec.timeZone", "Europe/Nowhere"),
    "log format": (custom("%h %{"), "spec.generators[0].access.logFormat", ""),
    "duration": (shop(stopAfter={"duration": "9000000h"}), "spec.stopAfter.duration", "too large"),
    "label": (
        shop(podTemplate={"labels": {"visor.dev/source-uid": "1"}}),
        "spec.podTemplate.labels",
        "is a label of the operator",
    ),
    "quantity": (
        shop(volume={"persistentVolumeClaim": {"size": "10gb"}}),
        "spec.volume.persistentVolumeClaim.size",
        "is not a quantity",
    ),
    "mount": (
        shop(
            podTemplate={
                "containers": [
                    {
                        "name": "a",
                        "image": "a",
                        "volumeMounts": [{"name": "configuration", "mountPath": "/a"}],
                    }
                ]
            }
        ),
        "spec.podTemplate.containers[0].volumeMounts[0].name",
        "no volume `configuration`",
    ),
    "privilege": (
        shop(
            podTemplate={
                "containers": [{"name": "a", "image": "a", "securityContext": {"privileged": True}}]
            }
        ),
        "spec.podTemplate.containers[0].securityContext.privileged",
        "--allow PrivilegedContainers",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_rejected_with_its_path(namespace: Kubernetes, mistake: str) -> None:
    document, path, part = MISTAKES[mistake]
    done = applied(namespace, document)
    assert done.returncode != 0, done.stdout
    assert path in done.stderr and part in done.stderr, done.stderr
    assert namespace.find(KIND, "shop") is None


def test_a_mistake_in_a_change_is_rejected_and_the_source_can_go(namespace: Kubernetes) -> None:
    good = apply(namespace, shop())
    good.is_ready()
    with pytest.raises(KubectlError, match="spec.timeZone"):
        good.change(timeZone="Mars")
    # What isn't its spec can always be changed.
    namespace.run("label", KIND, "shop", "team=logs")
    good.delete()
    namespace.wait_until_gone(KIND, "shop")


@pytest.mark.unvalidated
def test_a_bad_source_that_there_is_can_be_labelled_and_deleted(namespace: Kubernetes) -> None:
    bad = apply(namespace, shop(timeZone="Mars"))
    bad.wait_for("Accepted", "False", "Invalid")
    namespace.run("label", "namespace", namespace.namespace, "visor.dev/validate-")
    namespace.wait_for("the label to count", lambda: is_rejected(bad))
    namespace.run("label", KIND, "shop", "team=logs")
    bad.delete()
    namespace.wait_until_gone(KIND, "shop")


def is_rejected(bad: Source) -> bool:
    """Whether the webhook is asked about changes of the source."""
    try:
        bad.change(timeZone="Venus")
    except KubectlError:
        return True
    return False


def test_what_is_odd_is_taken_with_a_warning(namespace: Kubernetes) -> None:
    done = applied(namespace, shop(workload="DaemonSet", replicas=3))
    assert done.returncode == 0, done.stderr
    assert "Warning: spec.replicas: has no effect" in done.stderr


@pytest.mark.parametrize("workload", ["DaemonSet", "Sidecar"])
def test_what_has_no_number_of_pods_cannot_be_scaled(namespace: Kubernetes, workload: str) -> None:
    apply(namespace, shop(workload=workload))
    with pytest.raises(KubectlError, match=workload):
        namespace.run("scale", KIND, "shop", "--replicas=2")
    namespace.run("delete", KIND, "shop")
    scaled = apply(namespace, shop())
    namespace.run("scale", KIND, "shop", "--replicas=2")
    namespace.wait_for("two pods", lambda: len(scaled.pods()) == 2)


def test_a_source_that_is_applied_again_is_unchanged(namespace: Kubernetes) -> None:
    document = shop(
        volume={"persistentVolumeClaim": {}},
        output={"file": {"path": "access.log", "rotation": {"maxSize": "1Mi"}}},
    )
    assert "created" in applied(namespace, document).stdout
    assert "unchanged" in applied(namespace, document).stdout
    assert "configured" in applied(namespace, {**document, "spec": shop()["spec"]}).stdout
