"""The chart as Helm renders it, without a cluster, and the scripts that generate files of it."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml

from support.tools import PATH, tool

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "visor"

# The one in C is several times as fast, and the custom resource definition is large.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

Object = dict[str, Any]


def load(text: str) -> list[Object]:
    """The documents of a YAML text, but for empty ones."""
    return [document for document in yaml.load_all(text, Loader=LOADER) if document]


def helm(*arguments: str | Path, **more: Any) -> subprocess.CompletedProcess[str]:
    """Runs the Helm of the virtual environment, else of the path."""
    beside = shutil.which("helm", path=os.pathsep.join([str(Path(sys.executable).parent), PATH]))
    command = [beside or tool("helm"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, **more)


# For a server that knows the kinds of the Prometheus Operator.
KNOWS_MONITORS = ("--api-versions", "monitoring.coreos.com/v1")
# And admission policies, as Kubernetes 1.30 and later.
KNOWS_ALL = (
    *KNOWS_MONITORS,
    *("--api-versions", "admissionregistration.k8s.io/v1/ValidatingAdmissionPolicy"),
)


def template(values: Object, *options: str, chart: Path = CHART) -> subprocess.CompletedProcess:
    """Renders a release `visor` in `visor-system`."""
    command = ["template", "visor", chart, "--namespace", "visor-system", "--values", "-", *options]
    return helm(*command, input=json.dumps(values))


class Rendered:
    """The objects of a release with these values."""

    def __init__(self, values: Object | None = None, *options: str, chart: Path = CHART) -> None:
        done = template(values or {}, *options, chart=chart)
        assert done.returncode == 0, done.stderr
        self.objects = load(done.stdout)

    def all(self, kind: str) -> list[Object]:
        return [found for found in self.objects if found["kind"] == kind]

    def one(self, kind: str, name: str | None = None) -> Object:
        """The object of a kind; with `name`, the one so called."""
        (found,) = [o for o in self.all(kind) if name is None or o["metadata"]["name"] == name]
        return found

    def kinds(self) -> set[str]:
        return {found["kind"] for found in self.objects}

    def pods(self) -> list[Object]:
        """The specs of all pods: the operator's, and that of `helm test`."""
        deployment = self.one("Deployment")["spec"]["template"]["spec"]
        return [deployment, *(pod["spec"] for pod in self.all("Pod"))]

    def arguments(self) -> dict[str, str]:
        """The operator's flags and what they are set to."""
        operator, *_ = self.pods()
        command, *flags = operator["containers"][0]["args"]
        assert command == "run"
        return {name: value for name, _, value in (flag.partition("=") for flag in flags)}


def rules_of(role: Object) -> dict[tuple[str, str], set[str]]:
    """What a role allows: the verbs of each resource, named by its group and itself."""
    allowed: dict[tuple[str, str], set[str]] = {}
    for rule in role["rules"]:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                allowed.setdefault((group, resource), set()).update(rule["verbs"])
    return allowed


def script(name: str) -> ModuleType:
    """A script as a module, by its path from here. It doesn't end in `.py`, for it is a command."""
    path = str(Path(__file__).parent / name)
    name = Path(name).name
    loader = importlib.machinery.SourceFileLoader(name, path)
    spec = importlib.util.spec_from_loader(name, loader)
    module = importlib.util.module_from_spec(spec)
    # Where its classes look for themselves.
    sys.modules[name] = module
    loader.exec_module(module)
    return module
