"""What the chart's scripts generate, and the samples that are more than one document."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from chart.rendering import CHART, ROOT, Rendered, load, script
from support.tools import do_without, tool

INSTALL = ROOT / "manifests" / "install.yaml"
SAMPLES = ROOT / "manifests" / "samples"
README = (ROOT / "README.md").read_text()
# By the collector's program: its sample, and how it checks a configuration.
CHECKS = {
    "rsyslogd": (SAMPLES / "collector", ("-N1", "-f")),
    "syslog-ng": (SAMPLES / "collector-syslog-ng", ("--no-caps", "--syntax-only", "--cfgfile")),
}
# Where `make setup` has unpacked what can't be installed beside the other.
SYSLOG_NG = ROOT / "target" / "syslog-ng"


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
    ("text", "output_text"),
    [
        ("a: 1\n", "a has no comment"),
        ("# Lost.\n\na: 1\n", "a has no comment"),
        ("# Of what?\na:\n  # Good.\n  b: 1\n", "a has no value"),
        ("# Good.\na: 1\n- b\n", "values.yaml:3: unsupported form"),
        ("a:\n      # Good.\n      b: 1\n", "b is too deep"),
    ],
)
def test_values_without_words_are_rejected(text: str, output_text: str) -> None:
    with pytest.raises(SystemExit, match=output_text):
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
            "ValidatingWebhookConfiguration",
        )
        assert cluster_wide or made["metadata"]["namespace"] == namespace["metadata"]["name"]
    charts = [(o["kind"], o["metadata"]["name"]) for o in Rendered().objects if o["kind"] != "Pod"]
    assert [(o["kind"], o["metadata"]["name"]) for o in rest] == charts
    assert "helm" not in INSTALL.read_text().lower()


@pytest.mark.parametrize(
    "sample",
    [*sorted(SAMPLES.glob("*.yaml")), *sorted(SAMPLES.glob("*/source.yaml"))],
    ids=lambda sample: str(sample.relative_to(SAMPLES)),
)
def test_a_sample_says_what_to_check(sample: Path) -> None:
    head = sample.read_text().split("apiVersion:")[0]
    assert all(line.startswith("#") for line in head.splitlines())
    commands = re.findall(r"^#     (kubectl|visor) ", head, re.MULTILINE)
    name = sample.parent.name if sample.name == "source.yaml" else sample.stem
    assert commands and f"manifests/samples/{name}" in head


def test_the_patch_for_kustomize_is_of_the_argument_that_it_means() -> None:
    page = (ROOT / "docs" / "install.md").read_text()
    (text,) = re.findall(r"^```yaml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    (overlay,) = load(text)
    (patch,) = overlay["patches"]
    ((change,),) = load(patch["patch"])
    (found,) = [
        each
        for each in load(INSTALL.read_text())
        if (each["kind"], each["metadata"]["name"]) == tuple(patch["target"].values())
    ]
    *_, last = parts = change["path"].strip("/").split("/")
    for part in parts[:-1]:
        found = found[int(part) if part.isdigit() else part]
    assert found[int(last)].startswith("--image=") and change["value"].startswith("--image=")
    # And the base is what there is.
    (base,) = load((ROOT / "manifests" / "kustomization.yaml").read_text())
    assert base["resources"] == [INSTALL.name]


def test_the_readme_shows_the_columns_that_kubectl_shows() -> None:
    (definition,) = load((ROOT / "manifests/crd/visor.dev_fakelogsources.yaml").read_text())
    (version,) = definition["spec"]["versions"]
    columns = [column["name"].upper() for column in version["additionalPrinterColumns"]]
    assert re.search(r"^NAME +READY.*$", README, re.MULTILINE)[0].split() == ["NAME", *columns]


def test_there_is_help_for_every_reason_that_something_is_not_well() -> None:
    table = re.findall(r"^\| (?:Accepted|Available|CountsExact) \|.*\|$", OPERATOR, re.MULTILINE)
    reasons = {reason for row in table for reason in re.findall(r"`([A-Z]\w+)`", row.split("|")[3])}
    conditions, events = TROUBLESHOOTING.split("## Events\n")
    assert len(reasons) > 8 and reasons == first_words(conditions)
    # Other events have reasons of their own; an event about a condition has its reason.
    source = (ROOT / "crates" / "visor-operator" / "src" / "controller" / "publish.rs").read_text()
    reported = set(re.findall(r'reason: "([A-Z]\w+)"', source))
    assert len(reported) > 2 and reported <= first_words(events)


OPERATOR = (ROOT / "docs" / "operator.md").read_text()
TROUBLESHOOTING = (ROOT / "docs" / "troubleshooting.md").read_text()


def first_words(text: str) -> set[str]:
    """What the rows of a page's tables begin with."""
    return set(re.findall(r"^\| `([A-Z]\w+)`", text, re.MULTILINE))


@pytest.mark.parametrize("collector", CHECKS)
def test_the_collector_of_a_sample_is_given_a_configuration_that_it_takes(
    tmp_path: Path, collector: str
) -> None:
    directory, check = CHECKS[collector]
    (source,) = load((directory / "source.yaml").read_text())
    (configuration,) = load((directory / "configuration.yaml").read_text())
    name = configuration["metadata"]["name"]
    pod = source["spec"]["podTemplate"]
    assert {"name": name} in [volume.get("configMap") for volume in pod["volumes"]]
    # The operator makes a ConfigMap of the source's name.
    assert name != source["metadata"]["name"]
    (container,) = pod["containers"]
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    assert mounted == {volume["name"] for volume in pod["volumes"]}
    ((file_name, text),) = configuration["data"].items()
    file = tmp_path / file_name
    # It wants to see the directory that it is going to write to.
    file.write_text(text.replace("/var/lib/collector", str(tmp_path)))
    (path,) = {output["file"]["path"] for output in outputs(source)}
    assert f'"/var/log/visor/{path}"' in text
    done = subprocess.run([*program(collector), *check, file], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def program(collector: str) -> list[str | Path]:
    """The words by which a collector runs on this machine."""
    if collector != "syslog-ng":
        return [tool(collector)]
    if not SYSLOG_NG.exists():
        do_without("syslog-ng is missing; `make setup` on Debian 12 fetches it")
    libraries = [SYSLOG_NG / "usr/lib/syslog-ng"]
    libraries += [*SYSLOG_NG.glob("usr/lib/*-linux-gnu"), *SYSLOG_NG.glob("lib/*-linux-gnu")]
    (modules,) = SYSLOG_NG.glob("usr/lib/syslog-ng/3.*")
    return [
        *("env", f"LD_LIBRARY_PATH={':'.join(map(str, libraries))}"),
        *(SYSLOG_NG / "usr/sbin/syslog-ng", f"--module-path={modules}"),
    ]


def outputs(source: dict) -> list[dict]:
    return [generator["output"] for generator in source["spec"]["generators"]]
