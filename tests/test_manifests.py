"""What the chart's scripts generate, and the samples that are more than one document."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from chart.rendering import CHART, ROOT, Rendered, load, script
from support.tools import tool

INSTALL = ROOT / "manifests" / "install.yaml"
COLLECTOR = ROOT / "manifests" / "samples" / "collector"


def printed(name: str) -> str:
    """What a script prints, whatever language and time zone its user has."""
    done = subprocess.run(
        [sys.executable, ROOT / "tests" / "chart" / name],
        capture_output=True,
        text=True,
        env={**os.environ, "LC_ALL": "C", "TZ": "Asia/Tokyo"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("name", "file"),
    [("values_docs", CHART / "README.md"), ("install_manifest", INSTALL)],
    ids=["values_docs", "install_manifest"],
)
def test_what_is_generated_is_up_to_date(name: str, file: Path) -> None:
    assert printed(name) == file.read_text(), "run `make generate`"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\n", "a has no comment"),
        ("# Lost.\n\na: 1\n", "a has no comment"),
        ("# Of what?\na:\n  # Good.\n  b: 1\n", "a has no value"),
        ("# Good.\na: 1\n- b\n", "values.yaml:3: not of a form"),
        ("a:\n      # Good.\n      b: 1\n", "b is too deep"),
    ],
)
def test_values_without_words_are_refused(text: str, said: str) -> None:
    with pytest.raises(SystemExit, match=said):
        list(script("values_docs").values(text))


def test_the_plain_installation_is_the_charts_without_helm() -> None:
    plain = load(INSTALL.read_text())
    namespace, *rest = plain
    assert namespace["kind"] == "Namespace"
    labels = namespace["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    for made in rest:
        # Nothing lands in whatever namespace `kubectl` happens to be in.
        cluster_wide = "Cluster" in made["kind"] or made["kind"] in (
            "CustomResourceDefinition",
            "MutatingWebhookConfiguration",
        )
        assert cluster_wide or made["metadata"]["namespace"] == namespace["metadata"]["name"]
    charts = [(o["kind"], o["metadata"]["name"]) for o in Rendered().objects if o["kind"] != "Pod"]
    assert [(o["kind"], o["metadata"]["name"]) for o in rest] == charts
    assert "helm" not in INSTALL.read_text().lower()


def test_the_collector_of_the_sample_is_given_a_configuration_that_it_takes(tmp_path: Path) -> None:
    (source,) = load((COLLECTOR / "source.yaml").read_text())
    (configuration,) = load((COLLECTOR / "configuration.yaml").read_text())
    name = configuration["metadata"]["name"]
    pod = source["spec"]["podTemplate"]
    assert {"name": name} in [volume.get("configMap") for volume in pod["volumes"]]
    # The operator makes a ConfigMap of the source's name.
    assert name != source["metadata"]["name"]
    (container,) = pod["containers"]
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    assert mounted == {volume["name"] for volume in pod["volumes"]}
    file = tmp_path / "rsyslog.conf"
    text = configuration["data"]["rsyslog.conf"]
    # It wants to see the directory that it is going to write to.
    file.write_text(text.replace("/var/lib/collector", str(tmp_path)))
    (path,) = {output["file"]["path"] for output in outputs(source)}
    assert f'file="/var/log/visor/{path}"' in text
    done = subprocess.run([tool("rsyslogd"), "-N1", "-f", file], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def outputs(source: dict) -> list[dict]:
    return [generator["output"] for generator in source["spec"]["generators"]]
