"""Each alert of the chart fires by the fault that it is about, in a real Prometheus, and no longer
once that is mended. The times that it waits and looks back for are shortened, nothing else."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from support import dockerfile
from support.clusters import Cluster, processes_of
from support.dockerfile import ROOT
from support.documents import Object, access, file, rate, stream
from support.documents import source as document
from support.kubernetes import Kubernetes
from support.operators import Operators
from support.pods import Pod
from support.prometheus import Prometheus, prometheus, targets
from support.sources import Source, apply, shop
from support.tools import free_port
from support.volumes import logs_directory

RULES = (ROOT / "charts" / "visor" / "files" / "rules.yaml").read_text()
# Minutes that an alert waits, and ranges that it looks back, become seconds.
SHORTENED = re.sub(r"for: \d+m", "for: 2s", re.sub(r"\[\d+m\]", "[20s]", RULES))
ALERTS = [rule["alert"] for group in yaml.safe_load(RULES)["groups"] for rule in group["rules"]]


@dataclass
class Watch:
    """A Prometheus that scrapes all parts of Visor, and additional targets."""

    server: Prometheus
    kubernetes: Kubernetes
    file: Path
    more: list[Object] = field(default_factory=list)

    def refresh(self) -> Prometheus:
        """Configures its targets."""
        new = json.dumps(targets(self.kubernetes) + self.more)
        if new != self.file.read_text():
            # Never half of it.
            written = self.file.with_suffix(".new")
            written.write_text(new)
            written.rename(self.file)
        return self.server

    def firing(self, alert: str) -> Object | None:
        """The alert, if it fires now."""
        alerts = self.refresh().get("alerts")["alerts"]
        named = [each for each in alerts if each["labels"]["alertname"] == alert]
        return next((each for each in named if each["state"] == "firing"), None)


@pytest.fixture(scope="module")
def watch(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watch]:
    cluster.need_own("Prometheus runs on this machine, and must reach the pods")
    directory = tmp_path_factory.mktemp("alerts")
    found, rules = directory / "targets.json", directory / "rules.yaml"
    found.write_text("[]")
    rules.write_text(SHORTENED)
    configuration = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "scrape_configs": [{"job_name": "visor", "file_sd_configs": [{"files": [str(found)]}]}],
        "rule_files": [str(rules)],
    }
    with prometheus(directory, configuration) as server:
        yield Watch(server, cluster.kubernetes, found)


@dataclass
class Place:
    """Where a fault is made."""

    cluster: Cluster
    operators: Operators
    namespace: Kubernetes
    watch: Watch

    def source(self, **spec: object) -> Source:
        return apply(self.namespace, shop(**spec))

    def ready_source(self, **spec: object) -> Source:
        source = self.source(**spec)
        source.is_ready()
        return source

    @contextmanager
    def rules(self, kind: str, name: str, *rules: Object) -> Iterator[None]:
        """A role of the operator's has these rules meanwhile."""
        kubernetes = self.operators.kubernetes
        before = kubernetes.get(kind, name)["rules"]

        def allow(desired: list[Object]) -> None:
            patch = json.dumps([{"op": "replace", "path": "/rules", "value": desired}])
            kubernetes.run("patch", kind, name, "--type=json", f"--patch={patch}")

        allow(list(rules))
        try:
            yield
        finally:
            allow(before)
            self.operators.are_ready()

    def cluster_rules(self) -> list[Object]:
        return self.operators.kubernetes.get("clusterrole", self.operators.release)["rules"]

    def without(self, resource: str, *verbs: str) -> AbstractContextManager[None]:
        """The operator may not do this with a resource."""
        rules = [
            {**rule, "verbs": [verb for verb in rule["verbs"] if verb not in verbs]}
            if resource in rule["resources"]
            else rule
            for rule in self.cluster_rules()
        ]
        return self.rules("clusterrole", self.operators.release, *rules)


@contextmanager
def no_operator(place: Place) -> Iterator[None]:
    place.operators.scale(0)
    kubernetes = place.operators.kubernetes
    try:
        # One that is terminating may still revert the change.
        kubernetes.wait_for("the end of all", lambda: kubernetes.list("pods") == [])
        yield
    finally:
        place.operators.scale(2)


@contextmanager
def no_right_to_the_lease(place: Place) -> Iterator[None]:
    with place.rules("role", place.operators.lease):
        yield


@contextmanager
def two_that_act(place: Place) -> Iterator[None]:
    """Two operators of a namespace without leader election."""
    dockerfile.build()
    namespace = place.namespace.namespace
    started = []
    for number in range(2):
        address = f"127.0.0.1:{free_port()}"
        labels = {"namespace": namespace, "pod": f"operator-{number}", "job": "two"}
        place.watch.more.append({"targets": [address], "labels": labels})
        program = dockerfile.BUILD / "visor-operator"
        options = (f"--namespace={namespace}", f"--listen={address}", "--no-leader-election")
        started.append(
            subprocess.Popen(
                [program, "run", f"--image={place.cluster.image}", *options],
                env={"KUBECONFIG": str(place.cluster.kubernetes.kubeconfig)},
                stderr=subprocess.DEVNULL,
            )
        )
    try:
        yield
    finally:
        place.watch.more.clear()
        for process in started:
            process.kill()
            process.wait()


@contextmanager
def a_config_map_of_somebody_else_s(place: Place) -> Iterator[None]:
    place.namespace.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "shop"}})
    source = place.source()
    source.wait_for("Accepted", "False", "NameConflict")
    yield
    place.namespace.delete("configmap", "shop")


@contextmanager
def no_node_for_its_pods(place: Place) -> Iterator[None]:
    source = place.source(podTemplate={"nodeSelector": {"shop.example/none": "such"}})
    yield
    source.change(podTemplate=None)


@contextmanager
def a_frozen_generator(place: Place) -> Iterator[None]:
    (process,) = processes_of(place.ready_source().pod().uid)
    os.kill(process, signal.SIGSTOP)
    yield
    # The kubelet may have ended it meanwhile.
    with suppress(ProcessLookupError):
        os.kill(process, signal.SIGCONT)


@contextmanager
def no_right_to_write_to_pods(place: Place) -> Iterator[None]:
    source = place.ready_source()
    with place.without("pods", "patch"):
        source.change(timeZone="Asia/Tokyo")
        yield


@contextmanager
def no_right_to_see_workloads(place: Place) -> Iterator[None]:
    with place.without("statefulsets", "list", "watch"):
        # An existing watch continues.
        place.operators.kubernetes.delete("pod", *place.operators.names())
        yield


@contextmanager
def a_pod_that_asks_for_a_source_that_is_none(place: Place) -> Iterator[None]:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "asking",
            "labels": {"visor.dev/inject": "true"},
            "annotations": {"visor.dev/source": "none"},
        },
        "spec": {"containers": [{"name": "app", "image": place.cluster.reader_image}]},
    }
    place.namespace.create(pod)
    yield


@contextmanager
def a_certificate_that_holds_for_three_days(place: Place) -> Iterator[None]:
    kubernetes, name = place.operators.kubernetes, place.operators.release
    patch = {
        "op": "add",
        "path": "/spec/template/spec/containers/0/args/-",
        "value": "--webhook-certificate-validity=72h",
    }
    kubernetes.run("patch", "deployment", name, "--type=json", f"--patch={json.dumps([patch])}")
    place.operators.are_ready()
    # They make another one.
    kubernetes.delete("secret", f"{name}-webhook")
    yield
    kubernetes.run("rollout", "undo", f"deployment/{name}")
    place.operators.are_ready()
    kubernetes.delete("secret", f"{name}-webhook")


@dataclass
class Pipe:
    """A named pipe that is open for reading, and read only on request."""

    path: Path
    descriptor: int = -1
    ended: threading.Event = field(default_factory=threading.Event)

    def open(self) -> None:
        os.mkfifo(self.path, 0o666)
        os.chmod(self.path, 0o666)
        self.descriptor = os.open(self.path, os.O_RDWR)

    def read(self) -> None:
        """Reads whatever comes, from now on."""

        def reads() -> None:
            while os.read(self.descriptor, 1 << 16) and not self.ended.is_set():
                pass

        threading.Thread(target=reads, daemon=True).start()


@contextmanager
def a_source_with_a_pipe(place: Place) -> Iterator[Pipe]:
    """The pod of a source that writes to a named pipe on its node without a reader."""
    path = f"/var/log/{place.namespace.namespace}"
    # A pod that shares a directory of the node writes below one of its own name.
    directory = place.cluster.on_node(path) / "shop-0"
    directory.mkdir(parents=True)
    directory.chmod(0o777)
    pipe = Pipe(directory / "access.log")
    pipe.open()
    output = file("access.log")
    workload = {"workload": "StatefulSet", "volume": {"hostPath": {"path": path}}}
    source = place.source(lines_per_second=2000, output=output, **workload)
    try:
        yield pipe
    finally:
        pipe.ended.set()
        source.delete()
        place.namespace.wait_for("its end", lambda: not source.pods())


@contextmanager
def a_pipe_that_nobody_reads(place: Place) -> Iterator[None]:
    with a_source_with_a_pipe(place) as pipe:
        yield
        pipe.read()


@contextmanager
def a_pipe_that_is_read_too_late(place: Place) -> Iterator[None]:
    namespace = place.namespace.namespace
    blocked = f'sum(visor_write_blocked_seconds_total{{namespace="{namespace}"}})'
    with a_source_with_a_pipe(place) as pipe:
        place.namespace.wait_for(
            "lines that are too late", lambda: place.watch.refresh().value(blocked) > 12
        )
        pipe.read()
        yield


@contextmanager
def a_directory_that_is_read_only(place: Place) -> Iterator[None]:
    rotating = file("access.log", maxSize="32Ki", keep=2, method="Rename")
    claim = {"persistentVolumeClaim": {"size": "64Mi"}}
    made = document(
        "shop", access("web", stream("readers", "Access", rate(500)), output=rotating), volume=claim
    )
    source = apply(place.namespace, made)
    source.is_ready()
    directory = logs_directory(place.cluster, source.pod())
    mode = directory.stat().st_mode
    directory.chmod(0o555)
    yield
    directory.chmod(mode)


@contextmanager
def a_document_that_is_none(place: Place) -> Iterator[None]:
    source = place.ready_source()
    pod: Pod = source.pod()
    # What Prometheus sees of a counter for the first time is no increase to it.
    before = f'visor_config_reloads_total{{result="failure", pod="{pod.name}"}}'
    place.namespace.wait_for("a first scrape", lambda: place.watch.refresh().query(before))
    with no_operator(place):
        ((name, text),) = place.namespace.get("configmap", source.name)["data"].items()
        bad = text.replace("generators", "generatros")
        assert bad != text
        place.namespace.patch("configmap", source.name, {"data": {name: bad}})
        # A kubelet updates volumes at once when a pod has changed.
        now = {"metadata": {"annotations": {"shop.example/round": "2"}}}
        place.namespace.patch("pod", pod.name, now)
        yield


FAULTS: dict[str, Callable[[Place], AbstractContextManager[None]]] = {
    "VisorOperatorAbsent": no_operator,
    "VisorNoLeader": no_right_to_the_lease,
    "VisorSeveralLeaders": two_that_act,
    "VisorSourcesRejected": a_config_map_of_somebody_else_s,
    "VisorSourcesNotReady": no_node_for_its_pods,
    "VisorPodsUnreachable": a_frozen_generator,
    "VisorReconcileErrors": no_right_to_write_to_pods,
    "VisorWatchErrors": no_right_to_see_workloads,
    "VisorPodsWithoutGenerator": a_pod_that_asks_for_a_source_that_is_none,
    "VisorWebhookCertificateExpires": a_certificate_that_holds_for_three_days,
    "VisorWriteBlocked": a_pipe_that_nobody_reads,
    "VisorLinesSkipped": a_pipe_that_is_read_too_late,
    "VisorWriteErrors": a_directory_that_is_read_only,
    "VisorReloadFailures": a_document_that_is_none,
}


def test_only_times_are_shortened() -> None:
    without_times = [re.sub(r"\d+[ms]", "", text) for text in (RULES, SHORTENED)]
    assert without_times[0] == without_times[1]
    assert FAULTS.keys() == set(ALERTS)


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_fires_by_its_fault_and_no_longer(
    cluster: Cluster, operators: Operators, namespace: Kubernetes, watch: Watch, alert: str
) -> None:
    # What was before is over.
    namespace.wait_for("calm", lambda: watch.firing(alert) is None)
    with FAULTS[alert](Place(cluster, operators, namespace, watch)):
        fired = namespace.wait_for(f"{alert} to fire", lambda: watch.firing(alert))
        for text in fired["annotations"].values():
            assert text and "<no value>" not in text and "{{" not in text
    namespace.wait_for(f"{alert} to end", lambda: watch.firing(alert) is None)
