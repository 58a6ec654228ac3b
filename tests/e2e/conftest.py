"""Fixtures of the cluster tests: a real cluster, and a namespace for each test.

The cluster is made once for all modules of this directory, and removed after the last."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from support.clusters import Cluster, any_cluster, obstacle
from support.kubernetes import Kubernetes, describe


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    ours = [item for item in items if Path(__file__).parent in item.path.parents]
    reason = obstacle()
    if reason and ours:
        # One of them says it for all.
        ours[0].add_marker(pytest.mark.skip(f"{len(ours)} cluster tests are left out: {reason}"))
        items[:] = [item for item in items if item not in ours[1:]]
        config.hook.pytest_deselected(items=ours[1:])


@pytest.fixture(scope="package")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with any_cluster(tmp_path_factory.mktemp("kubectl")) as found:
        yield found


@contextmanager
def new_namespace(cluster: Cluster, wish: str, pod_security: str) -> Iterator[Kubernetes]:
    """A namespace of its own, which enforces a Pod Security Standard where the cluster can."""
    name = re.sub("[^a-z0-9]+", "-", wish.lower())[:40].strip("-") + "-" + secrets.token_hex(3)
    labels = {"pod-security.kubernetes.io/enforce": pod_security}
    kubernetes = cluster.kubernetes
    kubernetes.create(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
    )
    try:
        yield kubernetes.within(name)
    finally:
        kubernetes.delete("namespace", name)


@pytest.fixture
def namespace(request: pytest.FixtureRequest, cluster: Cluster) -> Iterator[Kubernetes]:
    """A namespace of the test's own; its pods must meet the restricted Pod Security Standard."""
    wish = request.node.name.removeprefix("test_")
    with new_namespace(cluster, wish, "restricted") as made:
        yield made


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """Adds to the report of a failed test what its namespace and the kubelet say."""
    report = yield
    if report.failed:
        for value in getattr(item, "funcargs", {}).values():
            if isinstance(value, Kubernetes):
                report.sections.append((f"namespace {value.namespace}", describe(value)))
            if isinstance(value, Cluster):
                report.sections.append(("kubelet", value.log("kubelet")))
    return report
