"""What `visor validate` says of pods, before the API server does: every pod of the corpus that it
rejects is rejected by a real API server as well."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from e2e.conftest import new_namespace
from support.clusters import Cluster
from support.documents import access, source
from support.kubernetes import KubectlError, Kubernetes

CORPUS = Path(__file__).parents[2] / "crates/visor-api/src/document/tests/kubernetes.txt"
# What a server accepts, because only the kubelet uses it, is marked by a comment.
ENTRIES = [
    pytest.param(entry, id=str(number))
    for number, entry in enumerate(CORPUS.read_text().split("\n====\n"))
    if not entry.startswith("#")
]


@pytest.fixture(scope="module")
def privileged(cluster: Cluster) -> Iterator[Kubernetes]:
    """A namespace whose Pod Security Standard rejects nothing, so that the rules do."""
    with new_namespace(cluster, "kubernetes rules", "privileged") as made:
        yield made


def objects(spec: dict) -> list[dict]:
    """The pod of a template, and the claim of a volume."""
    template = dict(spec.get("podTemplate", {}))
    metadata = {key: template.pop(key) for key in ("labels", "annotations") if key in template}
    own = {key: template.pop(key) for key in ("env", "envFrom", "resources") if key in template}
    template.setdefault("containers", []).append({"name": "visor", "image": "visor", **own})
    template.setdefault("volumes", []).append({"name": "logs", "emptyDir": {}})
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "rules", **metadata},
        "spec": template,
    }
    claim = spec.get("volume", {}).get("persistentVolumeClaim")
    if claim is None:
        return [pod]
    return [
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "rules"},
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": "1Gi"}},
                "storageClassName": claim["storageClassName"],
            },
        }
    ]


@pytest.mark.parametrize("entry", ENTRIES)
def test_an_api_server_rejects_it_too(privileged: Kubernetes, entry: str) -> None:
    spec = yaml.safe_load(entry.split("\n----\n")[0])
    for made in objects(spec):
        with pytest.raises(KubectlError) as error:
            privileged.run("create", "--dry-run=server", "-f", "-", stdin=json.dumps(made))
        assert "connect" not in str(error.value)


# Values of the right type that Kubernetes rejects, at their places in a pod template.
WRONG = {
    "securityContext": {"fsGroupChangePolicy": "Sometimes", "runAsUser": -1},
    "tolerations": [{"key": "a", "operator": "In"}],
    "containers": [
        {
            "name": "collector",
            "image": "collector",
            "imagePullPolicy": "Sometimes",
            "ports": [{"containerPort": 70000, "protocol": "HTTP"}],
        }
    ],
}
PLACES = [
    "securityContext.fsGroupChangePolicy",
    "securityContext.runAsUser",
    "tolerations.operator",
    "containers.imagePullPolicy",
    "containers.ports.containerPort",
    "containers.ports.protocol",
]


@pytest.mark.unvalidated
def test_the_definition_rejects_what_its_schema_can_say(namespace: Kubernetes) -> None:
    wrong = source("wrong", access("web"), podTemplate=WRONG)
    with pytest.raises(KubectlError) as error:
        namespace.run("create", "-f", "-", stdin=json.dumps(wrong))
    # Older servers leave the indexes out.
    message = re.sub(r"\[\d+\]", "", str(error.value))
    for place in PLACES:
        assert f"spec.podTemplate.{place}: " in message, place
