"""Releases of charts/visor, by the real Helm."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from support.clusters import Cluster
from support.dockerfile import ROOT
from support.tools import PATH, tool

CHART = ROOT / "charts" / "visor"
# Nothing here may depend on a registry.
MINUTES = "3m"


class HelmError(Exception):
    """Helm failed; the text is its output."""


@dataclass
class Release:
    """A release by its name and namespace, installed or not."""

    cluster: Cluster
    home: Path
    name: str = "visor"
    namespace: str = "visor-system"
    values: dict[str, str] = field(default_factory=dict)

    def install(self) -> None:
        """Installs or upgrades it, and waits until its operators are ready."""
        self.run(
            *("upgrade", "--install", self.name, CHART, "--create-namespace"),
            *("--wait", f"--timeout={MINUTES}"),
            *(f"--set={name}={value}" for name, value in self.all_values().items()),
        )

    def uninstall(self) -> None:
        self.run("uninstall", self.name, "--wait", f"--timeout={MINUTES}")

    def test(self) -> str:
        return self.run("test", self.name, "--logs", f"--timeout={MINUTES}")

    def all_values(self) -> dict[str, str]:
        generator, operator = self.cluster.image, self.cluster.operator_image
        return {
            **image_values("generator.image", generator),
            **image_values("operator.image", operator),
            **self.values,
        }

    def run(self, *words: str | Path) -> str:
        """Runs Helm and returns what it printed. Nothing of it is left in anybody's home."""
        done = subprocess.run(
            [program(), "--namespace", self.namespace, *words],
            env={
                **os.environ,
                "KUBECONFIG": str(self.cluster.kubernetes.kubeconfig),
                "HELM_CACHE_HOME": str(self.home / "cache"),
                "HELM_CONFIG_HOME": str(self.home / "config"),
                "HELM_DATA_HOME": str(self.home / "data"),
                "HOME": str(self.home),
            },
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise HelmError(f"helm {' '.join(map(str, words))}: {done.stderr.strip()}")
        return done.stdout


def image_values(prefix: str, image: str) -> dict[str, str]:
    repository, _, tag = image.rpartition(":")
    return {f"{prefix}.repository": repository, f"{prefix}.tag": tag}


def program() -> str:
    """The Helm of the virtual environment, else of the path."""
    beside = str(Path(sys.executable).parent)
    return shutil.which("helm", path=f"{beside}:{PATH}") or tool("helm")
