"""An API server that answers badly: an operator tries again, and all comes right in the end. The
operator runs on this machine, behind a proxy that makes the faults."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from e2e.faults import SILENCE, FaultyProxy, faulty_proxy
from support import dockerfile
from support.clusters import Cluster
from support.documents import Object
from support.kubernetes import Kubernetes
from support.metrics import Metrics, get, parse
from support.sources import Source, apply, shop
from support.tools import free_port


@contextmanager
def api_server(kubernetes: Kubernetes) -> Iterator[str]:
    """The API server without TLS and tokens."""
    process = subprocess.Popen(
        [kubernetes.kubectl, f"--kubeconfig={kubernetes.kubeconfig}", "proxy", "--port=0"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout
        said = process.stdout.readline()
        found = re.search(r"127\.0\.0\.1:\d+", said)
        assert found, said
        yield found[0]
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def proxy(nobody_else: None, namespace: Kubernetes) -> Iterator[FaultyProxy]:
    with api_server(namespace) as address, faulty_proxy(address) as proxy:
        yield proxy


class Operator:
    """An operator on this machine."""

    def __init__(self, address: str) -> None:
        self.address = address

    def metrics(self) -> Metrics:
        return parse(get(self.address))

    def count(self, name: str, **labels: str) -> float:
        return self.metrics().sum(f"visor_operator_{name}", **labels)


@pytest.fixture
def operator(
    cluster: Cluster, namespace: Kubernetes, proxy: FaultyProxy, tmp_path: Path
) -> Iterator[Operator]:
    """The one operator of the test's namespace; what it says is shown if the test fails."""
    dockerfile.build()
    address = f"127.0.0.1:{free_port()}"
    context = {"cluster": "proxy", "user": "nobody"}
    kubeconfig = tmp_path / "kubeconfig"
    configuration = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "proxy", "cluster": {"server": f"http://{proxy.address}"}}],
        "users": [{"name": "nobody", "user": {}}],
        "contexts": [{"name": "proxy", "context": context}],
        "current-context": "proxy",
    }
    kubeconfig.write_text(json.dumps(configuration))
    process = subprocess.Popen(
        [
            *(dockerfile.BUILD / "visor-operator", "run", f"--image={cluster.image}"),
            *(f"--namespace={namespace.namespace}", "--no-leader-election", f"--listen={address}"),
            *("--status-interval=1s", "--log-format=text"),
        ],
        env={"KUBECONFIG": str(kubeconfig)},
    )
    try:
        yield Operator(address)
    finally:
        process.kill()
        process.wait()


def named(number: int) -> Object:
    return {**shop(pace=5), "metadata": {"name": f"shop-{number}"}}


WHOLE = {"ConfigMap", "Service", "Deployment"}


def are_as_they_should_be(sources: list[Source]) -> None:
    for source in sources:
        source.kubernetes.wait_for("all children", lambda s=source: set(s.children()) == WHOLE)
        source.is_ready()


def test_writes_that_fail_are_tried_again(
    namespace: Kubernetes, proxy: FaultyProxy, operator: Operator
) -> None:
    proxy.fail_writes(*[500] * 6, *[409] * 6, *[503, 429] * 2)
    sources = [apply(namespace, named(number)) for number in range(3)]
    are_as_they_should_be(sources)
    assert proxy.is_done()
    # The others the client tries again by itself.
    for status in (500, 409):
        assert operator.count("api_requests_total", code=str(status)) == proxy.given[status]
    assert operator.count("reconciles_total", result="error") > 0
    # And so are those that remove something.
    proxy.fail_writes(500, 500)
    sources[0].change(workload="StatefulSet")
    namespace.wait_for(
        "the other workload",
        lambda: set(sources[0].children()) == {"ConfigMap", "Service", "StatefulSet"},
    )
    assert proxy.is_done()


def test_a_write_that_is_not_answered_holds_up_neither_its_source_for_ever_nor_others(
    namespace: Kubernetes, proxy: FaultyProxy, operator: Operator
) -> None:
    proxy.fail_writes(SILENCE)
    stuck = apply(namespace, named(1))
    namespace.wait_for("a write that isn't answered", proxy.is_done)
    other = apply(namespace, named(2))
    other.is_ready()
    are_as_they_should_be([stuck])
    assert operator.count("api_requests_total", code="0") > 0


def test_watches_that_break_off_are_begun_again(
    namespace: Kubernetes, proxy: FaultyProxy, operator: Operator
) -> None:
    source = apply(namespace, named(1))
    source.is_ready()
    errors = operator.count("watch_errors_total")
    proxy.fail_watches("", *[500] * 10)
    # Meanwhile there is a change of everything that is watched.
    source.change(replicas=2)
    namespace.delete("configmap", source.name)
    another = apply(namespace, named(2))
    namespace.wait_for("ten failures", proxy.is_done)
    namespace.wait_for("another pod", lambda: len(source.pods()) == 2)
    are_as_they_should_be([source, another])
    assert operator.count("watch_errors_total") > errors


def test_a_source_is_not_ready_by_what_was_seen_before_it_was_changed(
    namespace: Kubernetes, proxy: FaultyProxy, operator: Operator
) -> None:
    source = apply(namespace, named(1))
    source.is_ready()
    before = source.pod().uid
    # What becomes of the Deployment is not seen for a while.
    proxy.fail_watches("/deployments", *[500] * 4)
    source.change(podTemplate={"annotations": {"shop.example/round": "2"}})
    source.is_ready()
    assert before not in {pod.uid for pod in source.pods()}
