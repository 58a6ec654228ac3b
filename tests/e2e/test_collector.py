"""Real collectors next to the generator. They tail a log that is rotated by renaming and by copying
and truncating, and have read exactly the lines that the metrics count; lines that they have missed
are in the rotated files. `visor verify` says the same."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest
import yaml

from support.clusters import Cluster
from support.dockerfile import ROOT
from support.documents import Object, access, file, rate, stream
from support.files import every_line
from support.kubernetes import Kubernetes
from support.pods import METRICS_PORT, Pod
from support.program import visor
from support.sources import Source
from support.volumes import logs_directory

TOKEN = re.compile(r"[A-Za-z0-9_-]{7}_V-[A-Za-z0-9_-]{17}")
SAMPLES = ROOT / "manifests" / "samples"
# Each in the container of its name.
COLLECTORS = {"rsyslog": "collector", "syslog-ng": "collector-syslog-ng"}


def collected(pod: Pod, collector: str) -> list[str]:
    """The lines that a collector has printed, without its own messages."""
    own = ("rsyslogd", "syslog-ng", "[")
    return [line for line in pod.logs(collector) if not line.startswith(own)]


def start(
    namespace: Kubernetes, collector: str, output: Object, lines_per_second: int = 500
) -> Source:
    """The sample of a collector, with smaller files, and more of them."""
    for path in sorted((SAMPLES / COLLECTORS[collector]).glob("*.yaml")):
        for document in yaml.safe_load_all(path.read_text()):
            if document["kind"] == "FakeLogSource":
                # From the beginning: what the pods wrote before a change would have none.
                document["spec"]["tokens"] = True
            namespace.apply(document)
    source = Source(namespace, COLLECTORS[collector])
    requests = stream("requests", "Access", rate(lines_per_second))
    source.change(generators=[access("access", requests, output=output)])
    source.is_ready()
    pod = source.pod()
    namespace.wait_for("rotations", lambda: pod.metrics().sum("visor_rotations_total") >= 10)
    return source


def verdict(pod: Pod, records: list[str], directory: Path) -> dict[str, int]:
    """What `visor verify` says of these records, beside what the pod has emitted."""
    emitted, delivered = directory / "emitted.json", directory / "delivered.log"
    emitted.write_text(pod.kubernetes.page(pod.name, METRICS_PORT, "/emitted"))
    delivered.write_text("".join(f"{record}\n" for record in records))
    done = visor("verify", "--output", "json", "--emitted", emitted, delivered)
    assert done.stdout, done.stderr
    return json.loads(done.stdout)["total"]


@pytest.mark.parametrize("collector", COLLECTORS)
def test_a_collector_reads_what_was_written(
    cluster: Cluster, namespace: Kubernetes, collector: str, tmp_path: Path
) -> None:
    cluster.need_collectors()
    log = file("access.log", maxSize="64Ki", keep=5, method="Rename")
    source = start(namespace, collector, log)
    pod = source.pod()
    counted = source.suspend()[pod.name].lines()
    namespace.wait_for(f"{counted} lines", lambda: len(collected(pod, collector)) == counted)
    assert source.pod().uid == pod.uid and source.pod().restarts == 0
    # Nothing more comes.
    namespace.wait_for("the status", lambda: source.status["lines"] == counted)
    assert len(collected(pod, collector)) == counted
    got = verdict(pod, collected(pod, collector), tmp_path)
    assert got.pop("emitted") == got.pop("delivered") == counted
    assert not any(got.values()), got


@pytest.mark.parametrize("collector", COLLECTORS)
def test_what_a_collector_misses_when_a_file_is_truncated_is_its_own_doing(
    cluster: Cluster, namespace: Kubernetes, collector: str, tmp_path: Path
) -> None:
    cluster.need_collectors()
    cluster.need_own("it reads files of the node")
    # All are kept.
    log = file("access.log", maxSize="64Ki", keep=100, method="CopyTruncate")
    source = start(namespace, collector, log)
    pod = source.pod()
    counted = source.suspend()[pod.name].lines()
    lines = every_line(logs_directory(cluster, pod) / "access.log")
    written = Counter(line.decode() for line in lines)
    assert written.total() == counted
    namespace.wait_for("the status", lambda: source.status["lines"] == counted)
    # Those in the last file are never truncated, so they come.
    last = every_line(logs_directory(cluster, pod) / "access.log")[-1].decode()
    namespace.wait_for("the last line", lambda: last in collected(pod, collector))
    read = Counter(collected(pod, collector))
    whole = read & written
    missed, torn = written - read, read - written
    print(f"{collector}: {counted:.0f} written, {missed.total()} missed, {torn.total()} torn")
    # It has read most; and what it has that was never written are pieces of what was.
    assert whole.total() > counted / 2
    text = "\n".join(written)
    assert all(line in text for line in torn), torn
    assert whole.total() + missed.total() == counted
    # The verdict names what is missing: whatever has no token among the records.
    records = collected(pod, collector)
    got = verdict(pod, records, tmp_path)
    arrived = set(TOKEN.findall("\n".join(records)))
    missing = [line for line in written if TOKEN.findall(line)[0] not in arrived]
    assert got["missing"] == len(missing)
    assert got["duplicated"] == (whole - Counter(set(whole))).total()
    assert got["delivered"] == counted - len(missing)
    assert got["truncated"] + got["altered"] + got["merged"] <= torn.total()


def test_a_finite_source_ends_although_its_collector_never_would(
    cluster: Cluster, namespace: Kubernetes
) -> None:
    cluster.need_collectors()
    cluster.need_native_sidecars()
    for file in sorted((SAMPLES / "collector").glob("*.yaml")):
        for document in yaml.safe_load_all(file.read_text()):
            if document["kind"] == "FakeLogSource":
                # From the beginning: what the pods of a Deployment wrote would count as well.
                document["spec"]["stopAfter"] = {"lines": 2000}
            namespace.apply(document)
    source = Source(namespace, "collector")
    source.wait_for("Complete", reason="Finished")
    namespace.wait_for("the lines", lambda: source.status["lines"] == 2000)
    assert json.dumps(source.pod().object).count("restartPolicy") > 1
