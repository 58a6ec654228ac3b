"""Every sample of manifests/samples as a person applies it: its pods become ready, and what they
count is what can be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.clusters import Cluster
from support.dockerfile import ROOT
from support.documents import Object
from support.kubernetes import Kubernetes
from support.metrics import Metrics
from support.pods import Pod, lines_by_generator
from support.sources import Source
from support.volumes import are_all_kept, written
from support.waiting import wait_for

SAMPLES = ROOT / "manifests" / "samples"
# One that keeps running, and one that terminates.
SHORT_SET = {"shop", "finite"}


def sample(path: Path) -> object:
    """A sample is a file, or a directory of files."""
    files = path.glob("*.yaml") if path.is_dir() else [path]
    on_node = any("hostPath:" in file.read_text() for file in files)
    marks = [pytest.mark.privileged] if on_node else []
    marks += [pytest.mark.smoke] if path.stem in SHORT_SET else []
    return pytest.param(path, id=path.stem, marks=marks)


# The injected one has no pods of its own: see test_injection.py.
WITH_PODS = [path for path in sorted(SAMPLES.iterdir()) if path.name != "sidecar"]


@pytest.mark.parametrize("path", map(sample, WITH_PODS))
def test_what_a_sample_writes_is_what_it_counts(
    cluster: Cluster, namespace: Kubernetes, path: Path
) -> None:
    if path.stem.startswith("collector"):
        cluster.need_collectors()
    applied = namespace.apply(path)
    (name,) = [o["metadata"]["name"] for o in applied if o["kind"] == "FakeLogSource"]
    source = Source(namespace, name)
    spec = source.object["spec"]
    if "stopAfter" in spec:
        source.wait_for("Complete", reason="Finished")
        wait_for("its lines", lambda: source.status["lines"] == spec["stopAfter"]["lines"])
        return
    source.is_ready()
    names = {generator["name"] for generator in spec["generators"]}
    for pod in source.pods():
        namespace.wait_for("lines of all", lambda pod=pod: all_write(pod.metrics(), names))
    metrics = source.suspend()
    for pod in source.pods():
        for generator in spec["generators"]:
            if cluster.own or "file" not in generator.get("output", {}):
                check(cluster, pod, generator, metrics[pod.name])


def all_write(metrics: Metrics, names: set[str]) -> bool:
    return set(+lines_by_generator(metrics)) == names


def check(cluster: Cluster, pod: Pod, generator: Object, metrics: Metrics) -> None:
    """There are as many lines to be read as were counted."""
    counted = lines_by_generator(metrics)[generator["name"]]
    if are_all_kept(metrics, generator):
        pod.kubernetes.wait_for(
            f"{counted} lines of {generator['name']}",
            lambda: written(cluster, pod, generator) == counted,
        )
    else:
        assert 0 < written(cluster, pod, generator) < counted
