"""Bad documents: each problem with its file, line and path, all at once, and nothing is written."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from support.documents import access, source, text_of
from support.program import visor

BASE = """\
apiVersion: visor.dev/v1alpha1
kind: FakeLogSource
metadata:
  name: shop
spec:
  timeZone: {time_zone}
  generators:
  - name: web
    access:
      format: {format}
      methods: {methods}
    streams:
    - name: requests
      kind: Access
      interval: {interval}
      surges: {surges}
    output:
      file:
        path: {path}
  - name: other
    error: {{}}
    output:
      file:
        path: other.log
"""

GOOD = {
    "time_zone": "Europe/Berlin",
    "format": "Common",
    "methods": "[{value: GET, weight: 2}]",
    "interval": "{fixed: 3s}",
    "surges": "[]",
    "path": "access.log",
}

GENERATOR = "spec.generators[0]"
STREAM = f"{GENERATOR}.streams[0]"

# The field that is wrong, its value, the line and the path of the problem, and words of its
# message.
BAD = [
    ("time_zone", "Europe/Atlantis", 6, "spec.timeZone", "Europe/Atlantis"),
    ("format", "Combinde", 10, f"{GENERATOR}.access.format", "Combined"),
    ("format", "Custom", None, f"{GENERATOR}.access", "logFormat"),
    ("format", 'Custom\n      logFormat: "%h %J"', 11, f"{GENERATOR}.access.logFormat", "%J"),
    ("format", "Common\n      colour: red", 11, f"{GENERATOR}.access", "colour"),
    ("methods", "[{value: GET, weight: 0}]", 11, f"{GENERATOR}.access.methods", "weight"),
    (
        "methods",
        "[{value: GET, weight: many}]",
        11,
        f"{GENERATOR}.access.methods[0].weight",
        "whole number",
    ),
    ("methods", "GET", 11, f"{GENERATOR}.access.methods", None),
    ("interval", "{uniform: {min: 5s, max: 1s}}", 15, f"{STREAM}.interval.uniform", "min"),
    ("interval", "{fixed: -3s}", 15, f"{STREAM}.interval.fixed", "negative"),
    ("interval", "{fixed: 0s}", 15, f"{STREAM}.interval.fixed", "unlimited"),
    ("interval", "{fixed: 999999999h}", 15, f"{STREAM}.interval.fixed", "too large"),
    ("interval", "{fixed: soon}", 15, f"{STREAM}.interval.fixed", "duration"),
    ("interval", "{fixd: 3s}", 15, f"{STREAM}.interval", "fixed"),
    (
        "interval",
        "{rate: {linesPerSecond: 0}}",
        15,
        f"{STREAM}.interval.rate.linesPerSecond",
        "at least 1",
    ),
    (
        "surges",
        "[{every: 1s, duration: 2s, factor: 2}]",
        16,
        f"{STREAM}.surges[0].duration",
        "every",
    ),
    ("path", "../access.log", 19, f"{GENERATOR}.output.file.path", ".."),
    ("path", "/var/log/access.log", 19, f"{GENERATOR}.output.file.path", "relative"),
    ("path", "other.log", 24, "spec.generators[1].output.file.path", "web"),
]


@pytest.mark.parametrize(("name", "value", "line", "path", "words"), BAD)
def test_each_problem_has_a_location_and_nothing_is_written(
    tmp_path: Path, name: str, value: str, line: int | None, path: str | None, words: str | None
) -> None:
    document = tmp_path / "shop.yaml"
    document.write_text(BASE.format(**GOOD | {name: value}))
    validated = visor("validate", "-f", "shop.yaml", cwd=tmp_path)
    assert validated.returncode == 1 and validated.stdout == b""
    problems = re.findall(r"^shop\.yaml:(\d+): (?:(\S+): )?(.+)$", validated.stderr, re.MULTILINE)
    assert len(problems) == 1, validated.stderr
    found_line, found_path, message = problems[0]
    assert line is None or int(found_line) == line
    assert path is None or found_path.startswith(path)
    assert words is None or words in found_path + message
    ran = visor("run", "-f", "shop.yaml", "--listen", "none", cwd=tmp_path)
    assert ran.returncode == 1 and ran.stdout == b""
    assert message in ran.stderr
    assert [entry.name for entry in tmp_path.iterdir()] == ["shop.yaml"], "nothing is written"


def test_all_problems_are_reported_at_once(tmp_path: Path) -> None:
    wrong = {name: value for name, value, *_ in reversed(BAD) if name != "path"}
    (tmp_path / "shop.yaml").write_text(BASE.format(**GOOD | wrong | {"path": "../access.log"}))
    (tmp_path / "broken.yaml").write_text("kind: [\n")
    output_text = visor("validate", "-f", "shop.yaml", "-f", "broken.yaml", cwd=tmp_path).stderr
    lines = {
        int(number) for number in re.findall(r"^shop\.yaml:(\d+): ", output_text, re.MULTILINE)
    }
    assert {6, 10, 15, 16, 19} <= lines, output_text
    assert re.search(r"^broken\.yaml:\d+: ", output_text, re.MULTILINE), output_text


def test_a_good_document_is_exit_code_0(tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_text(BASE.format(**GOOD))
    done = visor("validate", "-f", "shop.yaml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert visor("validate", "-f", "-", stdin=text_of(source("a", access("web")))).returncode == 0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "document"),
        ("[1, 2", "shop.yaml:"),
        ("just words", "shop.yaml:1"),
        ("{apiVersion: v1, kind: Pod, metadata: {name: a}}", "FakeLogSource"),
        ("\0\1\2", "shop.yaml"),
    ],
)
def test_what_is_no_document_is_rejected(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "shop.yaml").write_text(text)
    done = visor("validate", "-f", "shop.yaml", cwd=tmp_path)
    assert done.returncode == 1 and words in done.stderr
    assert "panic" not in done.stderr


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    for command in ("validate", "run"):
        done = visor(command, "-f", "nowhere.yaml", cwd=tmp_path)
        assert done.returncode == 1 and "nowhere.yaml" in done.stderr
    assert not list(tmp_path.iterdir())


def test_bytes_that_are_no_text_are_rejected(tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_bytes(b"kind: \xff\xfe\n")
    done = visor("validate", "-f", "shop.yaml", cwd=tmp_path)
    assert done.returncode == 1 and "shop.yaml" in done.stderr and "UTF-8" in done.stderr
