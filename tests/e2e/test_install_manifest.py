"""Visor without Helm: manifests/install.yaml, a sample, and the lines that it writes."""

from __future__ import annotations

import pytest
import yaml

from support.clusters import Cluster
from support.dockerfile import ROOT
from support.helm import Release
from support.kubernetes import Kubernetes
from support.pods import lines_by_generator
from support.sources import Source
from support.volumes import written

INSTALL = ROOT / "manifests" / "install.yaml"


def for_this_server(kubernetes: Kubernetes) -> str:
    """The objects that the server knows the kinds of: all, but on servers older than those that are
    promised."""
    served = set(kubernetes.run("api-versions").split())
    objects = list(yaml.safe_load_all(INSTALL.read_text()))
    known = [each for each in objects if each["apiVersion"] in served | {"visor.dev/v1alpha1"}]
    left_out = {each["kind"] for each in objects} - {each["kind"] for each in known}
    assert left_out <= {"PodDisruptionBudget"}
    return yaml.safe_dump_all(known)


def test_kustomize_makes_what_the_plain_manifests_are(cluster: Cluster) -> None:
    made = list(yaml.safe_load_all(cluster.kubernetes.run("kustomize", str(INSTALL.parent))))
    plain = list(yaml.safe_load_all(INSTALL.read_text()))
    assert len(made) == len(plain)
    assert all(each in plain for each in made)


@pytest.mark.timeout(600)
def test_the_operator_runs_from_plain_manifests(
    cluster: Cluster, without_visor: None, release: Release
) -> None:
    kubernetes = cluster.kubernetes
    within = kubernetes.within(release.namespace)
    objects = for_this_server(kubernetes)
    try:
        # A kubectl of 1.20 doesn't know CEL rules, and would reject the definition.
        within.run("apply", "--validate=false", "-f", "-", stdin=objects)
        within.run("rollout", "status", "deployment/visor")
        kubernetes.apply(ROOT / "manifests" / "samples" / "shop.yaml")
        shop = Source(kubernetes, "shop")
        shop.is_ready()
        pod = shop.pod()
        generators = shop.object["spec"]["generators"]
        names = {generator["name"] for generator in generators}
        kubernetes.wait_for("lines", lambda: set(+lines_by_generator(pod.metrics())) == names)
        counted = lines_by_generator(shop.suspend()[pod.name])
        assert {each["name"]: written(cluster, pod, each) for each in generators} == counted
        # What a person sees of the columns, and of the fields.
        assert "READY" in kubernetes.run("get", "fls")
        assert "linesPerSecond" in kubernetes.run("explain", "fls", "--recursive")
        shop.delete()
        kubernetes.wait_for("its end", lambda: not shop.pods())
    finally:
        within.run("delete", "--ignore-not-found", "-f", "-", stdin=objects)
