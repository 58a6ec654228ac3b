"""Fixtures of the cluster tests: a real cluster with Visor in it, and namespaces for the tests.

What is shared is made once for all modules of this directory, and removed after the last."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from support.clusters import Cluster, any_cluster, obstacle
from support.helm import CHART, HelmError, Release
from support.kubernetes import Kubernetes, describe
from support.operators import Operators
from support.sources import KIND, Source

# The module that uninstalls Visor and installs it again.
LAST = "test_helm.py"
SOCKET = "/run/containerd/containerd.sock"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.name == LAST)
    reason = obstacle()
    ours = [item for item in items if Path(__file__).parent in item.path.parents]
    if reason and ours:
        # One of them reports it for all.
        ours[0].add_marker(pytest.mark.skip(f"{len(ours)} cluster tests are left out: {reason}"))
        items[:] = [item for item in items if item not in ours[1:]]
        config.hook.pytest_deselected(items=ours[1:])


@pytest.fixture(scope="package")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with any_cluster(tmp_path_factory.mktemp("kubectl")) as found:
        yield found


@pytest.fixture(scope="package")
def release(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Release]:
    """Visor, installed by Helm for the whole cluster."""
    home = tmp_path_factory.mktemp("helm")
    # Tests wait until the lines of pods are reported. A sample writes to a directory of its node.
    values = {"operator.statusInterval": "2s", "operator.allow": "{HostPath}"}
    made = Release(cluster, home, values=values)
    if cluster.kubernetes.find("crd", KIND):
        pytest.fail(f"{cluster.kubernetes.kubeconfig}: there is Visor in this cluster already")
    try:
        made.install()
    except HelmError as error:
        within = cluster.kubernetes.within(made.namespace)
        output_text = within.run("describe", "pods") + Operators(within).logs(30)
        pytest.fail(f"{error}\n{output_text}")
    yield made
    if not cluster.own:
        made.uninstall()
        remove_traces(cluster, made)


@pytest.fixture
def without_visor(cluster: Cluster, release: Release) -> Iterator[None]:
    """Visor isn't installed, but its images are known by the names that the chart gives them."""
    cluster.need_own("it makes Visor's images known by other names")
    version = re.search(r"^appVersion: (\S+)$", (CHART / "Chart.yaml").read_text(), re.M)
    for image in (cluster.image, cluster.operator_image):
        program = image.removeprefix("localhost/").split(":")[0]
        name = f"docker.io/library/{program}:{version[1]}"
        tag = ("ctr", "--address", SOCKET, "--namespace", "k8s.io", "images", "tag", "--force")
        cluster.command("run", *tag, image, name)
    release.uninstall()
    remove_traces(cluster, release)
    yield
    with suppress(HelmError):
        release.uninstall()
    remove_traces(cluster, release)
    # As the other tests have it.
    release.install()


def remove_traces(cluster: Cluster, release: Release) -> None:
    """Removes what a release leaves when it is uninstalled."""
    for kind, name in (("crd", KIND), ("namespace", release.namespace)):
        cluster.kubernetes.run("delete", kind, name, "--ignore-not-found")


@pytest.fixture(scope="package")
def operators(release: Release) -> Operators:
    """The operators of the release, one of which is the leader."""
    found = Operators(release.cluster.kubernetes.within(release.namespace))
    found.leader()
    return found


@pytest.fixture(scope="module")
def no_other_operator(operators: Operators) -> Iterator[None]:
    """The operators of the cluster are away."""
    operators.scale(0)
    yield
    operators.scale(2)


@contextmanager
def new_namespace(
    cluster: Cluster, title: str, pod_security: str, **more: str
) -> Iterator[Kubernetes]:
    """A namespace of its own, which enforces a Pod Security Standard where the cluster can; `more`
    are labels of Visor."""
    name = re.sub("[^a-z0-9]+", "-", title.lower())[:40].strip("-") + "-" + secrets.token_hex(3)
    labels = {"pod-security.kubernetes.io/enforce": pod_security}
    labels |= {f"visor.dev/{key}": value for key, value in more.items()}
    kubernetes = cluster.kubernetes
    kubernetes.create(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
    )
    try:
        yield kubernetes.within(name)
    finally:
        kubernetes.delete("namespace", name)


@pytest.fixture
def namespace(
    request: pytest.FixtureRequest, cluster: Cluster, operators: Operators
) -> Iterator[Kubernetes]:
    """A namespace of the test's own; its pods must meet the restricted Pod Security Standard,
    unless the test is marked as privileged."""
    level = "privileged" if request.node.get_closest_marker("privileged") else "restricted"
    more = {"validate": "false"} if request.node.get_closest_marker("unvalidated") else {}
    with new_namespace(cluster, request.node.name.removeprefix("test_"), level, **more) as made:
        yield made


@pytest.fixture
def bare_namespace(request: pytest.FixtureRequest, cluster: Cluster) -> Iterator[Kubernetes]:
    """The like, where there need not be an operator."""
    with new_namespace(cluster, request.node.name.removeprefix("test_"), "restricted") as made:
        yield made


@pytest.fixture(scope="module")
def shared_namespace(
    request: pytest.FixtureRequest, cluster: Cluster, operators: Operators
) -> Iterator[Kubernetes]:
    """The like for all tests of a module."""
    title = Path(request.node.name).stem.removeprefix("test_")
    with new_namespace(cluster, title, "restricted") as made:
        yield made


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """Adds the state of namespaces, operators and the kubelet to the report of a failed test."""
    report = yield
    if report.failed:
        fixtures = getattr(item, "funcargs", {})
        for kubernetes in {namespace_of(value) for value in fixtures.values()} - {None}:
            title = f"namespace {kubernetes.namespace}"
            kinds = f"{KIND}," if "operators" in fixtures else ""
            report.sections.append((title, describe(kubernetes, kinds)))
        if "operators" in fixtures:
            report.sections.append(("operators", fixtures["operators"].logs(30)))
        if "cluster" in fixtures:
            report.sections.append(("kubelet", fixtures["cluster"].log("kubelet")))
    return report


def namespace_of(value: object) -> Kubernetes | None:
    if isinstance(value, Source):
        return value.kubernetes
    return value if isinstance(value, Kubernetes) else None
