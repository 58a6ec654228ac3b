"""The children of a source are kept in the desired state, and deleted with it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from support.documents import Object
from support.kubernetes import Kubernetes
from support.sources import KIND, Source, apply, shop

CLAIM = {"persistentVolumeClaim": {"size": "16Mi"}}


@pytest.fixture(scope="module")
def source(shared_namespace: Kubernetes) -> Source:
    source = apply(shared_namespace, shop(volume=CLAIM))
    source.is_ready()
    return source


def test_children_and_pods_say_whose_they_are(source: Source) -> None:
    children = source.children()
    assert set(children) == {"ConfigMap", "Service", "PersistentVolumeClaim", "Deployment"}
    wanted = {
        "app.kubernetes.io/name": "visor",
        "app.kubernetes.io/instance": "shop",
        "app.kubernetes.io/component": "generator",
        "app.kubernetes.io/part-of": "visor",
        "app.kubernetes.io/managed-by": "visor-operator",
    }
    for object_ in (*children.values(), source.pod().object):
        assert wanted.items() <= object_["metadata"]["labels"].items()
    pod = source.pod().object
    assert pod["metadata"]["labels"]["visor.dev/source-uid"] == source.object["metadata"]["uid"]


def test_a_pod_has_no_token_and_no_rights(source: Source) -> None:
    spec = source.pod().object["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert {volume["name"] for volume in spec["volumes"]} == {"document", "logs"}
    assert spec["securityContext"]["runAsNonRoot"] is True
    (container,) = spec["containers"]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["securityContext"]["readOnlyRootFilesystem"] is True


def data(child: Object) -> object:
    return child["data"]


def replicas(child: Object) -> object:
    return child["spec"]["replicas"]


def image(child: Object) -> object:
    return [container["image"] for container in child["spec"]["template"]["spec"]["containers"]]


def selector(child: Object) -> object:
    return child["spec"]["selector"]


def managed_by(child: Object) -> object:
    return child["metadata"]["labels"].get("app.kubernetes.io/managed-by")


OTHER_IMAGE = {"containers": [{"name": "visor", "image": "localhost/other:1"}]}
EDITS: list[tuple[str, Object, Callable[[Object], object]]] = [
    ("ConfigMap", {"data": {"source.yaml": "other"}}, data),
    ("Service", {"spec": {"selector": {"app.kubernetes.io/instance": "other"}}}, selector),
    ("Deployment", {"spec": {"replicas": 2}}, replicas),
    ("Deployment", {"spec": {"template": {"spec": OTHER_IMAGE}}}, image),
    ("Deployment", {"metadata": {"labels": {"app.kubernetes.io/managed-by": None}}}, managed_by),
    ("Service", {"metadata": {"labels": {"app.kubernetes.io/managed-by": None}}}, managed_by),
]


@pytest.mark.parametrize(("kind", "edit", "reported"), EDITS)
def test_an_edited_child_is_reverted(
    source: Source, kind: str, edit: Object, reported: Callable[[Object], object]
) -> None:
    before = source.children()[kind]
    version = before["metadata"]["resourceVersion"]
    source.kubernetes.patch(kind, "shop", edit)

    def put_right() -> bool:
        now = source.kubernetes.get(kind, "shop")
        return now["metadata"]["resourceVersion"] != version and reported(now) == reported(before)

    source.kubernetes.wait_for("the child as it was", put_right)
    assert source.children()[kind]["metadata"]["uid"] == before["metadata"]["uid"]
    source.is_ready()


@pytest.mark.parametrize("kind", ["ConfigMap", "Service", "Deployment"])
def test_a_deleted_child_is_made_again(source: Source, kind: str) -> None:
    before = source.children()[kind]["metadata"]["uid"]
    source.kubernetes.delete(kind, "shop")

    def made_again() -> bool:
        child = source.children().get(kind)
        return child is not None and child["metadata"]["uid"] != before

    source.kubernetes.wait_for("another child", made_again)
    source.is_ready()


def test_additions_of_others_stay(source: Source) -> None:
    """Fields that an autoscaler, a service mesh or a person adds aren't drift."""
    source.kubernetes.run("annotate", "deployment", "shop", "shop.example/note=ours")
    source.change(podTemplate={"labels": {"shop.example/round": "1"}})
    source.kubernetes.wait_for(
        "the change",
        lambda: (
            "shop.example/round"
            in source.children()["Deployment"]["spec"]["template"]["metadata"]["labels"]
        ),
    )
    source.is_ready()
    annotations = source.children()["Deployment"]["metadata"]["annotations"]
    assert annotations["shop.example/note"] == "ours"


def test_a_deleted_source_takes_everything_with_it(namespace: Kubernetes) -> None:
    source = apply(namespace, shop(volume=CLAIM, replicas=2))
    other = apply(namespace, {**shop(), "metadata": {"name": "other"}})
    source.is_ready()
    other.is_ready()
    selector_ = source.status["selector"]
    kinds = list(source.children())
    source.delete()
    namespace.wait_until_gone(KIND, "shop")
    for kind in kinds:
        namespace.wait_until_gone(kind, "shop")
    namespace.wait_for("the end of its pods", lambda: not namespace.list("pods", selector_))
    assert len(other.children()) == 3 and other.pod().is_ready
