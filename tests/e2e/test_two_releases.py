"""Two releases that watch the same namespace: one reconciles, and the other one reports that it
does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.clusters import Cluster
from support.helm import Release
from support.kubernetes import Kubernetes
from support.sources import KIND, Source, apply, shop

VALUES = {
    "crds.install": "false",
    "injector.enabled": "false",
    "validation.enabled": "false",
    "operator.replicas": "1",
    # It would make other pods.
    "generator.runAsUser": "65533",
}


def reported(source: Source) -> list[str]:
    about = source.uid
    events = source.kubernetes.list("events")
    return [e["reason"] for e in events if e["involvedObject"].get("uid") == about]


@pytest.mark.timeout(400)
def test_of_two_operators_one_leaves_the_others_sources_alone(
    cluster: Cluster, namespace: Kubernetes, tmp_path: Path
) -> None:
    source = apply(namespace, shop())
    source.is_ready()
    before = source.children()["Deployment"]["metadata"]
    second = Release(cluster, tmp_path, "second", "second-system", VALUES)
    second.install()
    try:
        namespace.wait_for("an event", lambda: "OtherOperator" in reported(source))
        # And of one that is changed meanwhile, too.
        source.change(timeZone="Europe/Berlin")
        source.is_ready()
        now = source.children()["Deployment"]["metadata"]
        assert (now["uid"], now["generation"]) == (before["uid"], before["generation"])
        assert source.pod().object["spec"]["securityContext"]["runAsUser"] == 65532
    finally:
        second.uninstall()
        cluster.kubernetes.run("delete", "namespace", "second-system", "--wait=false")
    assert namespace.find(KIND, "shop") is not None
