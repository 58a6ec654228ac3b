"""The notes of `helm install`: a valid first source, and warnings only if there is something to
warn about."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from chart.rendering import CHART, ROOT, Object, Rendered, load

NO_INJECTOR: Object = {"injector": {"enabled": False}}


def notes(directory: Path, values: Object, version: str = "1.37.0") -> str:
    """The notes after the installation. `helm template` omits them, so here they are the text of an
    object."""
    chart = shutil.copytree(CHART, directory / "visor")
    (chart / "templates" / "NOTES.txt").rename(chart / "notes")
    output_text = '{"kind": "Notes", "text": {{ tpl (.Files.Get "notes") . | toJson }}}'
    (chart / "templates" / "notes.yaml").write_text(output_text)
    return Rendered(values, "--kube-version", version, chart=chart).one("Notes")["text"]


def test_the_notes_have_a_first_source_and_no_warning(tmp_path: Path) -> None:
    text = notes(tmp_path, {})
    sample = ROOT / "manifests" / "samples" / "minimal.yaml"
    source = re.search(r"<<END\n(.*?)\n +END\n", text, re.DOTALL)
    assert load(source[1]) == load(sample.read_text())
    assert "NOTE" not in text


@pytest.mark.parametrize(
    ("values", "version", "output_text"),
    [
        ({"crds": {"install": False}}, "1.37.0", "doesn't include the custom resource definition"),
        ({"rbac": {"create": False}}, "1.37.0", "grants no permissions"),
        (
            {"watchNamespaces": ["team-a"], **NO_INJECTOR},
            "1.37.0",
            "permissions for sources in team-a",
        ),
        ({"watchNamespaces": ["team-a"], "aggregateRoles": False}, "1.37.0", "webhook for all"),
        ({"operator": {"replicas": 1}}, "1.37.0", "created without their sidecars"),
        ({"operator": {"replicas": 1}, **NO_INJECTOR}, "1.37.0", "sources have no effect."),
        ({"metrics": {"podMonitors": {"enabled": True}}}, "1.37.0", "no PodMonitors: this cluster"),
        ({}, "1.28.9", "supports Kubernetes 1.29"),
    ],
    ids=[
        "crds",
        "rbac",
        "namespace",
        "injector",
        "replicas",
        "replicas alone",
        "monitors",
        "version",
    ],
)
def test_the_notes_warn(tmp_path: Path, values: Object, version: str, output_text: str) -> None:
    (warning,) = re.findall("^NOTE: .*", notes(tmp_path, values, version), re.MULTILINE)
    assert output_text in warning


@pytest.mark.parametrize("values", [{}, NO_INJECTOR, {"watchNamespaces": ["team-a"]}])
def test_pods_of_ones_own_are_spoken_of_where_they_can_be_injected(
    tmp_path: Path, values: Object
) -> None:
    text = notes(tmp_path, values)
    assert ("visor.dev/inject" in text) == (not values)
    # The operator's Secret isn't the release's, so Helm leaves it.
    assert ("delete secret visor-webhook" in text) == (not values)
