"""A real collector beside the generator: rsyslog tails a log that rotates, and has read what the
metrics count, to the line."""

from __future__ import annotations

import json

from support.clusters import Cluster
from support.dockerfile import ROOT
from support.documents import access, file, rate, stream
from support.kubernetes import Kubernetes
from support.pods import Pod
from support.sources import Source

SAMPLE = ROOT / "manifests" / "samples" / "collector"


def collected(pod: Pod) -> int:
    """How many lines rsyslog has printed; what it says itself comes from `rsyslogd`."""
    return len([line for line in pod.logs("rsyslog") if not line.startswith("rsyslogd")])


def test_rsyslog_reads_what_was_written(cluster: Cluster, namespace: Kubernetes) -> None:
    cluster.need_rsyslog()
    namespace.apply(SAMPLE)
    source = Source(namespace, "collector")
    # Smaller files, and more of them.
    output = file("access.log", maxSize="64Ki", keep=5, method="Rename")
    requests = stream("requests", "Access", rate(500))
    source.change(generators=[access("access", requests, output=output)])
    source.is_ready()
    pod = source.pod()

    def rotations() -> float:
        return pod.metrics().sum("visor_rotations_total")

    namespace.wait_for("rotations", lambda: rotations() >= 10)
    counted = source.suspend()[pod.name].lines()
    namespace.wait_for(f"{counted} lines", lambda: collected(pod) == counted)
    assert source.pod().uid == pod.uid and source.pod().restarts == 0
    # Nothing more comes.
    namespace.wait_for("the status", lambda: source.status["lines"] == counted)
    assert collected(pod) == counted


def test_a_finite_source_ends_although_its_collector_never_would(
    cluster: Cluster, namespace: Kubernetes
) -> None:
    cluster.need_rsyslog()
    cluster.need_native_sidecars()
    namespace.apply(SAMPLE)
    source = Source(namespace, "collector")
    source.change(stopAfter={"lines": 2000})
    source.wait_for("Complete", reason="Finished")
    namespace.wait_for("the lines", lambda: source.status["lines"] == 2000)
    assert json.dumps(source.pod().object).count("restartPolicy") > 1
