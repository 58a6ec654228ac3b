"""Sidecar injection: what is added to pods and what isn't, and that no pod is ever rejected or
delayed because of it."""

from __future__ import annotations

import json
import os
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from support.clusters import Cluster
from support.dockerfile import ROOT
from support.documents import Object, access, file, rate, source, stream
from support.helm import Release
from support.kubernetes import Kubernetes
from support.metrics import parse
from support.operators import Operators
from support.sources import Source, apply

GENERATOR = "visor"
DIRECTORY = "/var/log/app"


@pytest.fixture(autouse=True)
def answering(cluster: Cluster, operators: Operators, namespace: Kubernetes) -> None:
    """Each test begins when the API server gets answers: it may be some moments after the operators
    have begun, for their Service learns of them late."""

    def asked_about() -> float:
        name = "visor_operator_injections_total"
        return sum(operators.metrics(each).sum(name) for each in operators.names())

    def answers() -> bool:
        before = asked_about()
        pod = json.dumps(bare(cluster, "question"))
        namespace.run("create", "--dry-run=server", "-f", "-", stdin=pod)
        return asked_about() > before

    operators.are_ready()
    namespace.wait_for("the webhook's answers", answers)


def rider(lines_per_second: int = 50, **spec: Any) -> Object:
    """A source with `workload: Sidecar`."""
    readers = stream("readers", "Access", rate(lines_per_second))
    log = access("web", readers, output=file("access.log"))
    return source("shop", log, seed=7, workload="Sidecar", **spec)


def template(cluster: Cluster, *, own_volume: bool = False, **annotations: str) -> Object:
    """A pod that asks for `shop`: its own container writes an error line a second."""
    own_annotations = {"visor.dev/source": "shop", **annotations}
    container: Object = {
        "name": "app",
        "image": cluster.image,
        "args": ["emit", "error", "--rate", "1"],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    spec: Object = {"containers": [container], "terminationGracePeriodSeconds": 2}
    if own_volume:
        own_annotations["visor.dev/volume"] = "logs"
        container["volumeMounts"] = [{"name": "logs", "mountPath": DIRECTORY}]
        spec["volumes"] = [{"name": "logs", "emptyDir": {}}]
    labels = {"app": "web", "visor.dev/inject": "true"}
    return {"metadata": {"labels": labels, "annotations": own_annotations}, "spec": spec}


def bare(cluster: Cluster, name: str, **options: Any) -> Object:
    pod = template(cluster, **options)
    pod["metadata"]["name"] = name
    return {"apiVersion": "v1", "kind": "Pod", **pod}


def workload(cluster: Cluster, kind: str, replicas: int = 1, **options: Any) -> Object:
    extra = {"serviceName": "web"} if kind == "StatefulSet" else {}
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": kind.lower()},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "web"}},
            "template": template(cluster, **options),
            **extra,
        },
    }


def has_generator(pod: Object) -> bool:
    spec = pod["spec"]
    containers = spec["containers"] + spec.get("initContainers", [])
    return GENERATOR in [container["name"] for container in containers]


def generator(pod: Object) -> Object:
    spec = pod["spec"]
    containers = spec["containers"] + spec.get("initContainers", [])
    (found,) = [container for container in containers if container["name"] == GENERATOR]
    return found


def is_running(pod: Object) -> bool:
    statuses = pod["status"].get("containerStatuses", [])
    return bool(statuses) and all("running" in status["state"] for status in statuses)


def wait_until_running(kubernetes: Kubernetes, count: int = 1) -> list[Object]:
    """The pods of `app: web`, once so many run."""

    def running() -> list[Object] | None:
        pods = [
            p
            for p in kubernetes.list("pods", "app=web")
            if "deletionTimestamp" not in p["metadata"]
        ]
        return pods if len(pods) == count and all(map(is_running, pods)) else None

    return kubernetes.wait_for(f"{count} pods to run", running)


def wait_for_lines(shop: Source, least: int = 1) -> None:
    """Waits until the source reports this many lines."""
    wanted = f"{least} lines of {shop.name}"
    shop.kubernetes.wait_for(wanted, lambda: shop.status.get("lines", 0) >= least)


@pytest.mark.parametrize("own_volume", [False, True])
@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "Pod"])
def test_a_pod_that_asks_writes_logs(
    cluster: Cluster, namespace: Kubernetes, kind: str, own_volume: bool
) -> None:
    shop = apply(namespace, rider())
    shop.wait_for("Available", reason="NoPods")
    if kind == "Pod":
        namespace.apply(bare(cluster, "web", own_volume=own_volume))
    else:
        namespace.apply(workload(cluster, kind, own_volume=own_volume))
    (pod,) = wait_until_running(namespace)
    mounts = {mount["name"]: mount["mountPath"] for mount in generator(pod)["volumeMounts"]}
    if own_volume:
        assert mounts["logs"] == DIRECTORY
    else:
        assert mounts["visor-logs"] == "/var/log/visor"
    tokens = {volume["name"] for volume in pod["spec"]["volumes"] if "secret" in volume}
    tokens |= {volume["name"] for volume in pod["spec"]["volumes"] if "projected" in volume}
    assert tokens, "the pod's own container has one"
    assert not tokens & set(mounts)
    wait_for_lines(shop, 20)
    shop.is_ready()
    assert (shop.status["replicas"], shop.status["readyReplicas"]) == (1, 1)
    assert shop.status["workload"] == "Sidecar"
    assert shop.status["configuredRate"] == "50.0/s"
    if own_volume and cluster.own:
        log = cluster.empty_dir(pod["metadata"]["uid"], "logs") / "access.log"
        assert len(log.read_text().splitlines()) >= 20


def test_a_generator_writes_as_the_container_that_mounts_the_volume(
    cluster: Cluster, namespace: Kubernetes
) -> None:
    """Writes to a directory of the node that no other user can write to."""
    cluster.need_own("it makes a directory on the node")
    path = f"/var/log/{namespace.namespace}"
    directory = cluster.on_node(path)
    directory.mkdir(parents=True)
    os.chown(directory, 1234, 5678)
    directory.chmod(0o700)
    shop = apply(namespace, rider())
    pod = bare(cluster, "web", own_volume=True)
    (app,) = pod["spec"]["containers"]
    app["securityContext"] |= {"runAsUser": 1234, "runAsGroup": 5678}
    pod["spec"]["volumes"] = [{"name": "logs", "hostPath": {"path": path}}]
    namespace.apply(pod)
    wait_until_running(namespace)
    wait_for_lines(shop, 20)
    # Others may write there, too, as far as Visor knows: each pod has a directory of its own.
    for written in (directory / "web", directory / "web" / "access.log"):
        assert (written.stat().st_uid, written.stat().st_gid) == (1234, 5678)


CLASSES: dict[str, Object] = {
    "Guaranteed": {"limits": {"cpu": "50m", "memory": "32Mi"}},
    "Burstable": {"requests": {"cpu": "10m"}},
    "BestEffort": {},
}


@pytest.mark.parametrize("quality", CLASSES)
def test_a_pod_stays_in_its_quality_of_service_class(
    cluster: Cluster, namespace: Kubernetes, quality: str
) -> None:
    apply(namespace, rider())
    pod = bare(cluster, "web")
    pod["spec"]["containers"][0]["resources"] = CLASSES[quality]
    namespace.apply(pod)
    (made,) = wait_until_running(namespace)
    assert has_generator(made)
    assert made["status"]["qosClass"] == quality
    assert not [e for e in namespace.list("events") if e["reason"] == "QoSClassChanged"]


def test_a_pod_whose_class_changes_is_reported(cluster: Cluster, namespace: Kubernetes) -> None:
    apply(namespace, rider())
    desired = {"visor.dev/container-resources": json.dumps({"limits": {"memory": "48Mi"}})}
    namespace.apply(workload(cluster, "Deployment", **desired))
    (made,) = wait_until_running(namespace)
    assert made["status"]["qosClass"] == "Burstable"

    def reported() -> list[Object]:
        return [e for e in namespace.list("events") if e["reason"] == "QoSClassChanged"]

    (event, *_) = namespace.wait_for("an event", reported)
    assert "from BestEffort to" in event["message"]


def test_a_limit_range_and_a_quota_let_an_injected_pod_in(
    cluster: Cluster, namespace: Kubernetes
) -> None:
    apply(namespace, rider())
    ratio = {"maxLimitRequestRatio": {"cpu": "2", "memory": "2"}}
    least, most = {"cpu": "30m", "memory": "48Mi"}, {"cpu": "90m", "memory": "256Mi"}
    containers = {"type": "Container", "min": least, "max": most, **ratio}
    hard = {"requests.cpu": "500m", "limits.cpu": "500m"}
    hard |= {"requests.memory": "512Mi", "limits.memory": "512Mi"}
    core, metadata = {"apiVersion": "v1"}, {"metadata": {"name": "bounds"}}
    whole = {"type": "Pod", "max": {"memory": "200Mi"}}
    namespace.apply(
        {**core, "kind": "LimitRange", **metadata, "spec": {"limits": [containers, whole]}},
        {**core, "kind": "ResourceQuota", **metadata, "spec": {"hard": hard}},
    )
    namespace.wait_for("its count", lambda: "used" in namespace.get("quota", "bounds")["status"])
    resources = {"limits": {"cpu": "60m", "memory": "64Mi"}, "requests": {"cpu": "30m"}}

    def web(memory: str) -> Object:
        pod = bare(cluster, f"with-{memory.lower()}")
        limits = {**resources["limits"], "memory": memory}
        pod["spec"]["containers"][0]["resources"] = {**resources, "limits": limits}
        return pod

    def has_generator_with_bounds() -> bool:
        # The operators learn of the bounds a moment later.
        output_text = namespace.run(
            "create", "--dry-run=server", "-o", "json", "-f", "-", stdin=small
        )
        return has_generator(json.loads(output_text)) and "48Mi" in output_text

    small = json.dumps(web("64Mi"))
    namespace.wait_for("bounds to count", has_generator_with_bounds)
    namespace.apply(web("64Mi"), web("128Mi"), web("160Mi"))
    pods = {p["metadata"]["name"]: p for p in wait_until_running(namespace, 3)}
    assert [has_generator(pods[f"with-{each}mi"]) for each in (64, 128, 160)] == [True, True, False]


def test_a_change_of_the_source_reaches_injected_pods(
    cluster: Cluster, namespace: Kubernetes
) -> None:
    shop = apply(namespace, rider(lines_per_second=5))
    namespace.apply(workload(cluster, "Deployment", 2))
    pods = wait_until_running(namespace, 2)
    wait_for_lines(shop)
    shop.change(generators=rider(lines_per_second=200)["spec"]["generators"])

    def faster() -> bool:
        metrics = [namespace.page(p["metadata"]["name"], 9464, "/metrics") for p in pods]
        return all("} 200" in page for page in metrics)

    namespace.wait_for("the new rate", faster, 30)
    same = wait_until_running(namespace, 2)
    assert {p["metadata"]["uid"] for p in same} == {p["metadata"]["uid"] for p in pods}
    # The lines of deleted pods are reported, too.
    reported = shop.status["lines"]
    namespace.delete("deployment", "deployment")
    namespace.wait_for("no pods", lambda: not namespace.list("pods", "app=web"))
    shop.wait_for("Available", reason="NoPods")
    assert shop.status["lines"] >= reported
    assert shop.status["replicas"] == 0


def test_a_pod_whose_source_is_missing_starts_without_and_is_reported(
    cluster: Cluster, operators: Operators, namespace: Kubernetes
) -> None:
    namespace.apply(workload(cluster, "Deployment"))
    (pod,) = wait_until_running(namespace)
    assert not has_generator(pod)

    def reported() -> bool:
        events = namespace.list("events")
        return any(
            event["reason"] == "NotInjected"
            and "FakeLogSource `shop` not found" in event["message"]
            for event in events
        )

    namespace.wait_for("an event", reported)
    counted = [
        operators.metrics(name).sum("visor_operator_injections_total", result="missing_source")
        for name in operators.names()
    ]
    assert sum(counted) > 0


def test_who_asks_for_nothing_gets_nothing(cluster: Cluster, namespace: Kubernetes) -> None:
    apply(namespace, rider())
    quiet = bare(cluster, "quiet")
    del quiet["metadata"]["labels"]["visor.dev/inject"]
    out = bare(cluster, "out")
    out["metadata"]["labels"]["visor.dev/inject"] = "false"
    namespace.apply(quiet, out)
    assert not any(map(has_generator, wait_until_running(namespace, 2)))


def test_a_namespace_asks_for_its_pods_and_a_pod_counts_before_it(
    cluster: Cluster, namespace: Kubernetes
) -> None:
    apply(namespace, rider())
    name = namespace.namespace
    metadata = {
        "labels": {"visor.dev/inject": "true"},
        "annotations": {"visor.dev/source": "shop"},
    }
    namespace.patch("namespace", name, {"metadata": metadata})
    silent = bare(cluster, "silent")
    del silent["metadata"]["labels"]["visor.dev/inject"]
    del silent["metadata"]["annotations"]["visor.dev/source"]
    out = bare(cluster, "out")
    out["metadata"]["labels"]["visor.dev/inject"] = "false"

    def asked() -> bool:
        # The API server itself learns of the label a moment later.
        answer = namespace.run(
            "create", "--dry-run=server", "-f", "-", "-o", "json", stdin=json.dumps(silent)
        )
        return '"visor"' in answer

    namespace.wait_for("the label to count", asked)
    namespace.apply(silent, out)
    pods = {p["metadata"]["name"]: p for p in wait_until_running(namespace, 2)}
    assert has_generator(pods["silent"]) and not has_generator(pods["out"])


def test_a_dry_run_leaves_no_trace(cluster: Cluster, namespace: Kubernetes) -> None:
    output_text = namespace.run(
        "create",
        "--dry-run=server",
        "-f",
        "-",
        "-o",
        "json",
        stdin=json.dumps(bare(cluster, "web")),
    )
    assert '"visor"' not in output_text
    # Once a pod that is no dry run has left its event, one of the dry run would be there, too.
    namespace.apply(bare(cluster, "real"))

    def about(name: str) -> list[Object]:
        return [e for e in namespace.list("events") if e["involvedObject"]["name"] == name]

    namespace.wait_for(
        "an event", lambda: [e for e in about("real") if e["reason"] == "NotInjected"]
    )
    assert not [e for e in about("web") if e["reason"] == "NotInjected"]


def are_all_injected(cluster: Cluster, namespace: Kubernetes, count: int) -> None:
    """Makes so many pods at once, and sees that each is given its generator."""
    apply(namespace, rider())
    many = workload(cluster, "Deployment", count)
    # There is no node for them: it is their creation that matters.
    many["spec"]["template"]["spec"]["nodeSelector"] = {"visor.dev/no-such": "node"}
    namespace.apply(many)

    def made() -> list[Object] | None:
        pods = namespace.list("pods", "app=web")
        return pods if len(pods) == count else None

    pods = namespace.wait_for(f"{count} pods", made)
    assert [p["metadata"]["name"] for p in pods if not has_generator(p)] == []


def test_two_hundred_pods_at_once_are_all_injected(cluster: Cluster, namespace: Kubernetes) -> None:
    are_all_injected(cluster, namespace, 200)


def test_pods_start_while_no_operator_is_there(
    cluster: Cluster, operators: Operators, namespace: Kubernetes
) -> None:
    apply(namespace, rider())
    operators.scale(0)
    try:
        # Terminating ones answer for some moments more.
        selector = "app.kubernetes.io/component=operator"
        gone = operators.kubernetes
        gone.wait_for("the last answers", lambda: not gone.list("pods", selector))
        namespace.apply(bare(cluster, "web"))
        (pod,) = wait_until_running(namespace)
        assert not has_generator(pod)
    finally:
        operators.scale(2)


@contextmanager
def variables(operators: Operators, **values: str) -> Iterator[None]:
    """Environment variables of the operators for a while."""
    kubernetes = operators.kubernetes
    names = [f"VISOR_OPERATOR_{name.upper()}" for name in values]

    def change(words: list[str]) -> None:
        kubernetes.run("set", "env", "deployment/visor", *words)
        kubernetes.run("rollout", "status", "deployment/visor")
        operators.leader()

    change([f"{name}={value}" for name, value in zip(names, values.values(), strict=True)])
    try:
        yield
    finally:
        change([f"{name}-" for name in names])


class Load:
    """Pods that are created one after the other, for nothing but whether they are injected."""

    def __init__(self, cluster: Cluster, kubernetes: Kubernetes) -> None:
        self.cluster = cluster
        self.kubernetes = kubernetes
        self.answers: list[bool] = []
        self.end = threading.Event()
        self.thread = threading.Thread(target=self.create)

    def create(self) -> None:
        pod = json.dumps(bare(self.cluster, "web"))
        while not self.end.is_set():
            words = ("create", "--dry-run=server", "-f", "-", "-o", "json")
            try:
                answer = self.kubernetes.run(*words, stdin=pod)
                self.answers.append('"visor"' in answer)
            except Exception:
                self.answers.append(False)

    def __enter__(self) -> Load:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end.set()
        self.thread.join()


@pytest.mark.timeout(400)
def test_certificates_change_under_load_without_one_pod_that_is_left_out(
    cluster: Cluster, operators: Operators, namespace: Kubernetes
) -> None:
    apply(namespace, rider()).wait_for("Available", reason="NoPods")
    keeper = operators.kubernetes

    def secret() -> Object | None:
        found = keeper.find("secret", "visor-webhook")
        return found["data"] if found and "tls.crt" in found["data"] else None

    authorities: set[str] = set()
    certificates: set[str] = set()

    def changed() -> bool:
        now = secret()
        if now:
            authorities.add(now["ca.key"])
            certificates.add(now["tls.crt"])
        return len(authorities) >= 3 and len(certificates) >= 4

    short = {"webhook_certificate_validity": "30s", "webhook_authority_validity": "45s"}
    with variables(operators, **short):
        with Load(cluster, namespace) as load:
            # The existing certificate is valid for long. The new one has the new, short validity.
            keeper.delete("secret", "visor-webhook")
            namespace.wait_for("authorities and certificates to change", changed, 240)
        keeper.delete("secret", "visor-webhook")
    keeper.wait_for("certificates that hold for long", secret)
    assert len(load.answers) > 50
    assert all(load.answers), load.answers.count(False)


def test_an_upgrade_of_the_release_keeps_what_the_api_server_trusts(
    cluster: Cluster, release: Release, operators: Operators
) -> None:
    def trusted() -> set[str]:
        kind = "mutatingwebhookconfiguration"
        webhooks = operators.kubernetes.get(kind, "visor-webhook")["webhooks"]
        return {webhook["clientConfig"].get("caBundle", "") for webhook in webhooks}

    before = trusted()
    assert len(before) == 1 and "" not in before
    release.values["injector.timeoutSeconds"] = "4"
    try:
        release.install()
        assert trusted() == before
    finally:
        del release.values["injector.timeoutSeconds"]
        release.install()
        operators.leader()


def test_nonsense_at_the_webhook_is_harmless(
    cluster: Cluster, operators: Operators, namespace: Kubernetes
) -> None:
    cluster.need_own("it calls the webhook itself")
    service = operators.kubernetes.get("service", "visor-webhook")
    url = f"https://{service['spec']['clusterIP']}/inject"
    trust = ssl.create_default_context()
    trust.check_hostname = False
    trust.verify_mode = ssl.CERT_NONE
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=trust)
    )
    for body in (b"", b"null", b"{", b"[" * 100_000, bytes(range(256)), b'{"request": {}}'):
        with pytest.raises(urllib.error.HTTPError) as rejected:
            opener.open(urllib.request.Request(url, body), timeout=10)
        assert rejected.value.code == 400
        assert b"not an AdmissionReview" in rejected.value.read()
    apply(namespace, rider())
    namespace.apply(bare(cluster, "web"))
    (pod,) = wait_until_running(namespace)
    assert has_generator(pod)


def test_the_sample_is_injected_and_its_collector_reads_every_line(
    cluster: Cluster, namespace: Kubernetes
) -> None:
    cluster.need_collectors()
    namespace.apply(ROOT / "manifests" / "samples" / "sidecar")
    sidecar = Source(namespace, "sidecar")
    # At least one rotation is in between.
    wait_for_lines(sidecar, 6000)
    sidecar.change(suspend=True)
    (pod,) = namespace.list("pods", "app=log-reader")
    name = pod["metadata"]["name"]

    def counted() -> int | None:
        metrics = parse(namespace.page(name, 9464, "/metrics"))
        quiet = metrics.sum("visor_configured_lines_per_second") == 0
        assert metrics.sum("visor_rotations_total") >= 1
        return int(metrics.lines()) if quiet else None

    lines = namespace.wait_for("the source to be suspended", counted)

    def read() -> int:
        log = namespace.logs(name, "rsyslog").splitlines()
        return len([line for line in log if '"GET ' in line or " HTTP/" in line])

    namespace.wait_for(f"{lines} lines to be read", lambda: read() == lines)
    sidecar.wait_for("Ready", reason="Suspended")
    namespace.wait_for("the same to be told", lambda: sidecar.status["lines"] == lines)
