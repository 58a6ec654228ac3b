"""A Prometheus of the tests' own, and the answers that it gives."""

from __future__ import annotations

import json
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.documents import Object
from support.kubernetes import Kubernetes
from support.tools import free_port, tool
from support.waiting import wait_for


class QueryError(Exception):
    """Prometheus rejects a query; the text is its message."""


@dataclass(frozen=True)
class Prometheus:
    address: str

    def get(self, path: str, **parameters: str) -> Any:
        """The data of an answer of its API."""
        url = f"http://{self.address}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=30) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise QueryError(error.read().decode()) from error

    def query(self, expression: str) -> list[Object]:
        """The series that an expression gives now."""
        return self.get("query", query=expression)["result"]

    def value(self, expression: str) -> float:
        """The value of an expression that gives one series; 0 if it gives none."""
        found = self.query(expression)
        assert len(found) <= 1, found
        return float(found[0]["value"][1]) if found else 0.0


@contextmanager
def prometheus(directory: Path, configuration: Object) -> Iterator[Prometheus]:
    """Starts one, and waits until it answers. Its log is in the directory."""
    file = directory / "prometheus.json"
    file.write_text(json.dumps(configuration))
    address = f"127.0.0.1:{free_port()}"
    log = directory / "prometheus.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                *(tool("prometheus"), f"--config.file={file}", f"--web.listen-address={address}"),
                f"--storage.tsdb.path={directory}/tsdb",
            ],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )

    def answers() -> bool:
        assert process.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(f"http://{address}/-/ready", timeout=10):
                return True
        except OSError:
            return False

    try:
        wait_for("Prometheus", answers)
        yield Prometheus(address)
    finally:
        process.terminate()
        process.wait(60)


VISOR = "app.kubernetes.io/part-of=visor"


def targets(kubernetes: Kubernetes) -> list[Object]:
    """Operators and pods with the labels that a ServiceMonitor and a PodMonitor give them. Debian's
    Prometheus can't ask Kubernetes itself."""
    pods = kubernetes.run("get", "pods", "--all-namespaces", f"--selector={VISOR}", "-o", "json")
    return [target(pod) for pod in json.loads(pods)["items"] if "podIP" in pod["status"]]


def target(pod: Object) -> Object:
    metadata = pod["metadata"]
    labels, namespace = metadata["labels"], metadata["namespace"]
    name = labels["app.kubernetes.io/instance"]
    is_operator = labels["app.kubernetes.io/component"] == "operator"
    (port,) = [
        port["containerPort"]
        for container in pod["spec"]["containers"]
        for port in container.get("ports", [])
        if port["name"] in ("metrics", "visor-metrics")
    ]
    return {
        "targets": [f"{pod['status']['podIP']}:{port}"],
        "labels": {
            "namespace": namespace,
            "pod": metadata["name"],
            "job": name if is_operator else f"{namespace}/{name}",
        },
    }
