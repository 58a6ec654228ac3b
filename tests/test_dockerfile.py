"""The Dockerfile, without Docker: its build command makes a static program (unoptimised here, which
is quicker), and that program does what the image's command says in a root directory that has
nothing else in it, as the image's user."""

from __future__ import annotations

import fnmatch
import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from support.files import every_line
from support.metrics import get
from support.tools import PATH, free_port, need_root, tool
from support.waiting import PATIENCE, wait_for

ROOT = Path(__file__).parents[1]
BUILD = ROOT / "target" / "static"


class Instruction(NamedTuple):
    word: str
    rest: str


def instructions() -> list[Instruction]:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    text = "\n".join(line for line in lines if not line.startswith("#")).replace("\\\n", "")
    return [Instruction(*line.split(maxsplit=1)) for line in text.split("\n") if line]


def stages() -> list[list[Instruction]]:
    stages: list[list[Instruction]] = []
    for instruction in instructions():
        if instruction.word == "FROM":
            stages.append([])
        stages[-1].append(instruction)
    return stages


def one(stage: list[Instruction], word: str) -> str:
    (found,) = [instruction.rest for instruction in stage if instruction.word == word]
    return found


def test_the_image_has_nothing_but_the_program_and_runs_as_an_ordinary_user() -> None:
    _, image = stages()
    assert one(image, "FROM") == "scratch"
    assert "RUN" not in [instruction.word for instruction in image]
    user, group = one(image, "USER").split(":")
    assert int(user) > 0 and int(group) > 0
    for word in ("ENTRYPOINT", "CMD"):
        # As a list, for there is no shell.
        assert isinstance(json.loads(one(image, word)), list)
    copied = [i.rest.split()[-2:] for i in image if i.word == "COPY"]
    assert copied == [["/build/visor", "/visor"], ["/build/logs", "/var/log/visor"]]


def test_the_toolchain_is_the_one_that_the_workspace_asks_for() -> None:
    asked = re.search(r'^rust-version = "(.+)"$', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)
    assert one(stages()[0], "FROM").startswith(f"rust:{asked[1]}-")


def test_the_build_gets_every_file_that_it_needs() -> None:
    rules = (ROOT / ".dockerignore").read_text().splitlines()
    kept = [rule[1:] for rule in rules if rule.startswith("!")]
    assert rules[1] == "*"
    for needed in ("Cargo.toml", "Cargo.lock", "crates"):
        assert any(fnmatch.fnmatch(needed, rule) for rule in kept)
    # Nothing of the program's is read from anywhere else when it is built.
    sources = (ROOT / "crates").rglob("*.rs")
    included = re.compile(r'include_(?:str|bytes)!\(\s*"([^"]+)"')
    for path in sources:
        if "src" in path.parts:
            for name in included.findall(path.read_text()):
                assert (path.parent / name).resolve().is_relative_to(ROOT / "crates"), path


@pytest.fixture(scope="module")
def program() -> Path:
    """The program as the Dockerfile builds it."""
    build, _ = stages()
    variables = {"PROFILE": "dev", "BUILD": str(BUILD)}
    declared = {i.rest.split("=")[0] for i in build if i.word == "ARG"}
    assert declared == set(variables)
    done = subprocess.run(
        ["sh", "-euc", one(build, "RUN")],
        cwd=ROOT,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return BUILD / "visor"


@pytest.mark.timeout(1800)
def test_the_program_is_static(program: Path) -> None:
    done = subprocess.run([tool("ldd"), program], capture_output=True, text=True)
    assert re.search("statically linked|not a dynamic executable", done.stdout + done.stderr)


@pytest.fixture
def image(program: Path, tmp_path: Path) -> Iterator[Path]:
    """A root directory as the image has it, with a document where it looks for one."""
    _, stage = stages()
    user, group = map(int, one(stage, "USER").split(":"))
    root = tmp_path / "root"
    logs = root / "var" / "log" / "visor"
    documents = root / "etc" / "visor"
    for directory in (logs, documents):
        directory.mkdir(parents=True)
    os.chown(logs, user, group)
    shutil.copy(program, root / "visor")
    shutil.copy(ROOT / "manifests" / "samples" / "shop.yaml", documents / "source.yaml")
    yield root


@pytest.mark.timeout(1800)
def test_the_image_runs_its_document(image: Path, tmp_path: Path) -> None:
    need_root()
    _, stage = stages()
    port = free_port()
    command = [*json.loads(one(stage, "ENTRYPOINT")), *json.loads(one(stage, "CMD"))]
    command = [word.replace("0.0.0.0:9464", f"127.0.0.1:{port}") for word in command]
    diagnostics = tmp_path / "diagnostics"
    with diagnostics.open("wb") as stderr:
        process = subprocess.Popen(
            [tool("chroot"), f"--userspec={one(stage, 'USER')}", image, *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            env={"PATH": PATH},
        )
    try:
        directory = image / "var" / "log" / "visor"
        logs = [directory / f"{name}.log" for name in ("access", "error", "api")]

        def is_writing() -> bool:
            assert process.poll() is None, diagnostics.read_text()
            return all(log.exists() and log.stat().st_size > 0 for log in logs)

        wait_for("lines in every log", is_writing)
        assert "visor_build_info{" in get(f"127.0.0.1:{port}")
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0, diagnostics.read_text()
    finally:
        process.kill()
        process.wait()
    counted = int(diagnostics.read_text().splitlines()[-1].split()[1])
    assert counted == sum(len(every_line(log)) for log in logs)
