"""Pods in which the generator runs: made, watched, and read by a second container that sees the
same volume."""

from __future__ import annotations

import io
import json
import tarfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from support.dockerfile import ROOT
from support.documents import Object, text_of
from support.kubernetes import Kubernetes
from support.metrics import Metrics, parse

# What a person has to play with, too.
MANIFEST = ROOT / "tests" / "cluster" / "pod.yaml"
GENERATOR, READER = "visor", "reader"
METRICS_PORT = 9464
LOGS = "/var/log/visor"


@dataclass(frozen=True)
class Pod:
    """A pod that writes logs, as it was when it was asked for."""

    kubernetes: Kubernetes
    object: Object

    @property
    def name(self) -> str:
        return self.object["metadata"]["name"]

    @property
    def uid(self) -> str:
        return self.object["metadata"]["uid"]

    @property
    def restarts(self) -> int:
        return sum(c["restartCount"] for c in self.object["status"].get("containerStatuses", []))

    @property
    def is_ready(self) -> bool:
        conditions = self.object["status"].get("conditions", [])
        ready = any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
        return ready and "deletionTimestamp" not in self.object["metadata"]

    def volume(self, name: str) -> Object:
        """A volume of its spec."""
        (found,) = [v for v in self.object["spec"]["volumes"] if v["name"] == name]
        return found

    def now(self) -> Pod:
        """The same pod as it is now."""
        return Pod(self.kubernetes, self.kubernetes.get("pod", self.name))

    def wait_until_ready(self) -> Pod:
        def ready() -> Pod | None:
            pod = self.now()
            return pod if pod.is_ready else None

        return self.kubernetes.wait_for(f"pod {self.name} to be ready", ready)

    def end_of(self, container: str) -> Object | None:
        """How a container ended, once it has."""
        statuses = self.now().object["status"].get("containerStatuses", [])
        found = [status["state"] for status in statuses if status["name"] == container]
        return found[0].get("terminated") if found else None

    def metrics(self) -> Metrics:
        return parse(self.kubernetes.page(self.name, METRICS_PORT, "/metrics"))

    def logs(self, container: str = GENERATOR, *options: str) -> list[str]:
        """The lines of a container's standard output and standard error."""
        return self.kubernetes.logs(self.name, container, *options).splitlines()

    def lines(self) -> list[str]:
        """The lines of the generator's standard output."""
        return [line for line in self.logs() if not is_diagnostic(line)]

    def copy_logs(self, directory: Path) -> Path:
        """Copies what the reading container sees of the logs, and returns where they are."""
        packed = self.kubernetes.read(self.name, READER, "/bin/tar", "-cC", LOGS, ".")
        with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
            for member in filter(tarfile.TarInfo.isfile, tar):
                target = directory / member.name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(tar.extractfile(member).read())
        return directory

    def change(self, document: Object) -> None:
        """Changes its document. A kubelet updates the ConfigMaps of a changed pod at once, and
        otherwise within a minute or so."""
        self.kubernetes.apply(config_map(self.name, document))
        version = self.kubernetes.get("configmap", self.name)["metadata"]["resourceVersion"]
        annotations = {"visor.dev/document": version}
        self.kubernetes.patch("pod", self.name, {"metadata": {"annotations": annotations}})

    def suspend(self, document: Object) -> Metrics:
        """Has it write no more, and returns its metrics, which then stay as they are."""
        self.change({**document, "spec": {**document["spec"], "suspend": True}})
        last: Metrics | None = None

        def still() -> Metrics | None:
            nonlocal last
            before, last = last, self.metrics()
            silent = last.sum("visor_configured_lines_per_second") == 0
            # What was under way when it was suspended is written in no time.
            quiet = silent and before is not None and before.lines() == last.lines()
            return last if quiet else None

        return self.kubernetes.wait_for(f"pod {self.name} to be suspended", still)


def is_diagnostic(line: str) -> bool:
    """Whether a line is one of the program's own, which are in JSON, rather than one of the log."""
    try:
        return line.startswith("{") and "level" in json.loads(line)
    except ValueError:
        return False


def lines_by_generator(metrics: Metrics) -> Counter[str]:
    """The lines of each generator of a pod."""
    total: Counter[str] = Counter()
    for (_, labels), value in metrics.select("visor_lines_total").items():
        total[dict(labels)["generator"]] += int(value)
    return total


def config_map(name: str, document: Object) -> Object:
    data = {"source.yaml": text_of(document)}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name},
        "data": data,
    }


def start(
    kubernetes: Kubernetes,
    image: str,
    document: Object,
    *,
    reader: str | None = None,
    follow: str | None = None,
    **spec: Any,
) -> Pod:
    """Starts the generator on a document, in a pod of the document's name. `reader` is the image of
    a second container, which is idle but prints what is written to the log that `follow` names;
    `spec` are more fields of the pod's."""
    name = document["metadata"]["name"]
    made = yaml.safe_load(MANIFEST.read_text())
    made["metadata"]["name"] = name
    made["spec"].update(terminationGracePeriodSeconds=10, restartPolicy="Never", **spec)
    made["spec"]["volumes"][0]["configMap"]["name"] = name
    (generator,) = made["spec"]["containers"]
    # The image's own command, but with diagnostics that can be distinguished from lines.
    generator["args"] = [
        *("run", "-f", "/etc/visor/source.yaml", "--output-dir", LOGS),
        *("--listen", f"0.0.0.0:{METRICS_PORT}", "--logging-format", "json"),
    ]
    generator["image"] = image
    if reader:
        # As the first process of its container, tail doesn't hear of SIGTERM: it reads on until the
        # pod's grace is over, and so to the end of the log.
        read = ["/usr/bin/tail", "-n", "+1", "-F", f"{LOGS}/{follow}" if follow else "/dev/null"]
        beside = {"name": READER, "image": reader, "command": read, "resources": {}}
        kept = ("imagePullPolicy", "securityContext", "volumeMounts")
        made["spec"]["containers"].append({**beside, **{key: generator[key] for key in kept}})
    kubernetes.apply(config_map(name, document))
    return Pod(kubernetes, kubernetes.create(made))
