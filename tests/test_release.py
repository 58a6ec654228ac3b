"""`make release-check`: whatever names a version is found to name another one."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import yaml

from chart.rendering import ROOT, script

CHECK = script("../release_check")
FILES = ["Cargo.toml", "Cargo.lock", "CHANGELOG.md", *CHECK.PAGES]
FILES += ["charts/visor/Chart.yaml", "manifests/install.yaml"]
FILES += [str(manifest.relative_to(ROOT)) for manifest in ROOT.glob("crates/*/Cargo.toml")]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The files that are checked, to be changed."""
    for file in FILES:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, tmp_path / file)
    return tmp_path


def change(copy: Path, file: str, before: str, after: str) -> None:
    path = copy / file
    text = re.sub(before, after, path.read_text(), count=1, flags=re.MULTILINE)
    assert text != path.read_text()
    path.write_text(text)


def test_all_agree(copy: Path) -> None:
    assert CHECK.problems(ROOT, None) == CHECK.problems(copy, None) == []
    assert len({where.split(":")[0] for where, _ in CHECK.found(copy)}) == len(FILES) - 2


@pytest.mark.parametrize(
    ("file", "before", "after"),
    [
        ("crates/visor/Cargo.toml", r"^version.workspace = true", 'version = "9.9.9"'),
        (
            "Cargo.lock",
            r'^name = "visor-engine"\nversion = ".*"',
            'name = "visor-engine"\nversion = "9.9.9"',
        ),
        ("charts/visor/Chart.yaml", r"^version: .*", "version: 9.9.9"),
        ("charts/visor/Chart.yaml", r"^appVersion: .*", "appVersion: 9.9.9"),
        ("manifests/install.yaml", r"visor-operator:[0-9.]+", "visor-operator:9.9.9"),
        ("manifests/install.yaml", r"--image=visor:[0-9.]+", "--image=visor:9.9.9"),
        ("manifests/install.yaml", r"(kubernetes.io/version: )\S+", r"\g<1>9.9.9"),
        ("README.md", r"visor:0[0-9.]+", "visor:9.9.9"),
        ("docs/install.md", r"visor-operator:0[0-9.]+", "visor-operator:9.9.9"),
    ],
)
def test_another_version_is_found(copy: Path, file: str, before: str, after: str) -> None:
    change(copy, file, before, after)
    (problem,) = CHECK.problems(copy, None)
    assert problem.startswith(f"{file}: ") and " is 9.9.9, and Cargo.toml says " in problem


def test_one_that_is_named_nowhere_any_more_is_found(copy: Path) -> None:
    change(copy, "charts/visor/Chart.yaml", r"^appVersion: .*", "")
    assert any("appVersion is none" in problem for problem in CHECK.problems(copy, None))


def test_a_release_has_its_section_of_the_changelog(copy: Path) -> None:
    version = CHECK.workspace(copy)
    missing, entries = CHECK.problems(copy, version)
    assert f"## [{version}] - YYYY-MM-DD" in missing and "[Unreleased] has entries" in entries
    change(
        copy,
        "CHANGELOG.md",
        r"^## \[Unreleased\]\n",
        f"## [Unreleased]\n\n## [{version}] - 2026-12-01\n",
    )
    assert CHECK.problems(copy, version) == []
    assert CHECK.problems(copy, "9.9.9") != []


def test_workflows_call_existing_targets() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z0-9-]+):.*## ", makefile, re.MULTILINE))
    called: set[str] = set()
    for workflow in (ROOT / ".github" / "workflows").glob("*.yml"):
        for job in yaml.safe_load(workflow.read_text())["jobs"].values():
            matrix = job.get("strategy", {}).get("matrix", {}).get("target", [])
            lines = [f"make {words}" for words in matrix]
            lines += [line for step in job["steps"] for line in step.get("run", "").splitlines()]
            for line in lines:
                for words in re.findall(r"^\s*make (.*)", line):
                    called.update(
                        word for word in words.split() if re.fullmatch("[a-z0-9-]+", word)
                    )
    assert {"e2e", "soak", "release-check", "sbom"} <= called <= targets


def test_what_builds_a_release_is_named_by_digests() -> None:
    """What a tag or a branch leads to can change."""
    workflows = list((ROOT / ".github" / "workflows").glob("*.yml"))
    assert workflows
    for workflow in workflows:
        text = workflow.read_text()
        for used in re.findall(r"uses: (\S+)", text):
            assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", used), f"{workflow.name}: {used}"
        for image in re.findall(r"image: (\S+)", text):
            assert re.search(r"@sha256:[0-9a-f]{64}$", image), f"{workflow.name}: {image}"
        assert yaml.safe_load(text)["permissions"] == {}, workflow.name
        for name, job in yaml.safe_load(text)["jobs"].items():
            assert "permissions" in job, f"{workflow.name}: {name}"
    for image in re.findall(r"^FROM (\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE):
        assert image == "scratch" or "@sha256:" in image, image
