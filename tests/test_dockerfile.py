"""The Dockerfile: its build command creates a static program, which runs the image's command in an
empty root directory as the image's user. If there is a container engine, the image is built,
too."""

from __future__ import annotations

import fnmatch
import gzip
import io
import json
import os
import re
import shutil
import signal
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from support.dockerfile import BUILD, ROOT, Stage, assemble, build, stages
from support.files import every_line, size
from support.metrics import get
from support.tools import PATH, free_port, need_root, tool
from support.waiting import TIMEOUT, wait_for

# The images, and what each has in it.
IMAGES = {
    "visor-operator": ["visor-operator"],
    "visor-sink": ["visor-sink"],
    "visor": ["visor", "var/log/visor"],
}

each_image = pytest.mark.parametrize("name", IMAGES)


def test_there_is_a_stage_for_each_image_and_the_generator_is_the_last() -> None:
    assert list(stages()) == ["build", *IMAGES]


@each_image
def test_an_image_has_nothing_but_its_program_and_runs_as_an_ordinary_user(name: str) -> None:
    image = stages()[name]
    assert image.one("FROM") == "scratch"
    assert not image.all("RUN")
    user, group = image.one("USER").split(":")
    assert int(user) > 0 and int(group) > 0
    # There is no shell that would look for it.
    assert image.words("ENTRYPOINT") == [f"/{name}"]
    assert [str(copy.target) for copy in image.copies()] == IMAGES[name]
    for copy in image.copies():
        assert copy.owner == (image.one("USER") if copy.source.name == "logs" else "0:0")


@each_image
def test_an_image_says_what_it_is(name: str) -> None:
    image = stages()[name]
    prefix = r"org\.opencontainers\.image\."
    labels = dict(re.findall(rf'{prefix}(\w+)="([^"]+)"', image.one("LABEL")))
    assert labels.keys() == {"title", "description", "licenses", "version", "revision"}
    assert labels["title"] == name
    cargo = (ROOT / "Cargo.toml").read_text()
    assert labels["licenses"] == re.search(r'^license = "(.+)"$', cargo, re.MULTILINE)[1]
    # The labels of a release.
    declared = {rest.split("=")[0] for rest in image.all("ARG")}
    assert {labels["version"], labels["revision"]} == {f"${argument}" for argument in declared}


def test_the_toolchain_is_the_one_that_the_workspace_asks_for() -> None:
    asked = re.search(r'^rust-version = "(.+)"$', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)
    assert stages()["build"].one("FROM").startswith(f"rust:{asked[1]}-")


def test_the_build_gets_every_file_that_it_needs() -> None:
    rules = (ROOT / ".dockerignore").read_text().splitlines()
    kept = [rule[1:] for rule in rules if rule.startswith("!")]
    assert rules[1] == "*"
    for needed in ("Cargo.toml", "Cargo.lock", "crates"):
        assert any(fnmatch.fnmatch(needed, rule) for rule in kept)
    # Nothing of the programs' is read from anywhere else when they are built.
    sources = (ROOT / "crates").rglob("*.rs")
    included = re.compile(r'include_(?:str|bytes)!\(\s*"([^"]+)"')
    for path in sources:
        if "src" in path.parts:
            for name in included.findall(path.read_text()):
                assert (path.parent / name).resolve().is_relative_to(ROOT / "crates"), path


@each_image
def test_the_program_is_static(name: str) -> None:
    build()
    done = subprocess.run([tool("ldd"), BUILD / name], capture_output=True, text=True)
    assert re.search("statically linked|not a dynamic executable", done.stdout + done.stderr)


@contextmanager
def container(image: Stage, root: Path, arguments: list[str]) -> Iterator[subprocess.Popen]:
    """A process as a container of the image has it, but for what only a container runtime does."""
    need_root()
    build()
    assemble(image, root)
    for copy in image.copies():
        os.chown(root / copy.target, *map(int, copy.owner.split(":")))
    with (root.with_name("diagnostics")).open("wb") as diagnostics:
        process = subprocess.Popen(
            [tool("chroot"), f"--userspec={image.one('USER')}", root, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=diagnostics,
            stderr=diagnostics,
            env={"PATH": PATH},
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_the_generators_image_runs_its_document(tmp_path: Path) -> None:
    image, root, address = stages()["visor"], tmp_path / "root", f"127.0.0.1:{free_port()}"
    documents = root / "etc" / "visor"
    documents.mkdir(parents=True)
    shutil.copy(ROOT / "manifests" / "samples" / "shop.yaml", documents / "source.yaml")
    arguments = [word.replace(":9464", address) for word in image.command()]
    diagnostics = tmp_path / "diagnostics"
    with container(image, root, arguments) as process:
        directory = root / "var" / "log" / "visor"
        logs = [directory / f"{name}.log" for name in ("access", "error", "api")]

        def is_writing() -> bool:
            assert process.poll() is None, diagnostics.read_text()
            return all(size(log) > 0 for log in logs)

        wait_for("lines in every log", is_writing)
        assert "visor_build_info{" in get(address)
        process.send_signal(signal.SIGTERM)
        assert process.wait(TIMEOUT) == 0, diagnostics.read_text()
    counted = int(diagnostics.read_text().splitlines()[-1].split()[1])
    assert counted == sum(len(every_line(log)) for log in logs)


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory with the images as archives."""
    directory = tmp_path_factory.mktemp("images")
    subprocess.run([ROOT / "tests" / "cluster" / "images", directory], check=True)
    return directory


@each_image
def test_an_archive_is_the_image_and_nothing_else(name: str, archives: Path) -> None:
    archive = Archive(archives / f"{name}.tar")
    (found,) = archive.json("index.json")["manifests"]
    assert found["annotations"]["io.containerd.image.name"] == f"localhost/{name}:test"
    manifest = archive.blob_json(found["digest"])
    (layer,) = manifest["layers"]
    content = gzip.decompress(archive.blob(layer["digest"]))
    image = stages()[name]
    configuration = archive.blob_json(manifest["config"]["digest"])
    assert configuration["rootfs"]["diff_ids"] == [f"sha256:{sha256(content).hexdigest()}"]
    assert configuration["config"]["User"] == image.one("USER")
    assert configuration["config"]["Entrypoint"] == image.words("ENTRYPOINT")
    assert configuration["config"]["Cmd"] == image.words("CMD")
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        members = {member.name: member for member in tar}
    owners = {copy.target: copy.owner for copy in image.copies()}
    for target, owner in owners.items():
        member = members[f"./{target}"]
        assert f"{member.uid}:{member.gid}" == owner
    # Beside what is copied there are only the directories above it.
    kept = {Path("."), *owners, *(above for target in owners for above in target.parents)}
    assert {Path(path) for path in members} == kept


class Archive:
    """An archive in the layout of the Open Container Initiative."""

    def __init__(self, path: Path) -> None:
        with tarfile.open(path) as tar:
            self.files = {member.name: tar.extractfile(member).read() for member in tar}
        assert json.loads(self.files["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}

    def json(self, path: str) -> Any:
        return json.loads(self.files[path])

    def blob(self, digest: str) -> bytes:
        content = self.files[f"blobs/{digest.replace(':', '/')}"]
        assert digest == f"sha256:{sha256(content).hexdigest()}"
        return content

    def blob_json(self, digest: str) -> Any:
        return json.loads(self.blob(digest))


def has_engine() -> bool:
    """Whether there is a docker with a running engine, rather than only the client."""
    docker = shutil.which("docker")
    return bool(docker) and subprocess.run([docker, "info"], capture_output=True).returncode == 0


@each_image
@pytest.mark.timeout(1800)
def test_an_engine_builds_the_image(name: str) -> None:
    if not has_engine():
        pytest.skip(
            f"no container engine runs here; `docker build --target {name} .` where one does"
        )
    words = ["docker", "build", "--quiet", "--target", name, "--build-arg", "PROFILE=test-release"]
    built = subprocess.run([*words, ROOT], check=True, capture_output=True, text=True)
    image = built.stdout.strip()
    run = ["docker", "run", "--rm", "--read-only", "--network=none", image, "--version"]
    output_text = subprocess.run(run, check=True, capture_output=True, text=True)
    assert output_text.stdout.startswith(f"{name} ")


def test_the_sinks_image_takes_requests(tmp_path: Path) -> None:
    image, address = stages()["visor-sink"], f"127.0.0.1:{free_port()}"
    arguments = [word.replace(":9465", address) for word in image.command()]
    with container(image, tmp_path / "root", arguments) as process:
        assert "visor_sink_build_info{" in wait_for("a page", lambda: get_or_none(address))
        process.send_signal(signal.SIGTERM)
        # Nobody said what was emitted.
        assert process.wait(TIMEOUT) == 3, (tmp_path / "diagnostics").read_text()


def get_or_none(address: str) -> str | None:
    try:
        return get(address)
    except OSError:
        return None


def test_the_operators_image_prints_the_definition(tmp_path: Path) -> None:
    image = stages()["visor-operator"]
    # What it is for needs a cluster: see e2e/.
    assert image.words("CMD") == ["run"]
    with container(image, tmp_path / "root", [*image.words("ENTRYPOINT"), "crd"]) as process:
        assert process.wait(TIMEOUT) == 0
    printed = (tmp_path / "diagnostics").read_text()
    assert printed == (ROOT / "manifests" / "crd" / "visor.dev_fakelogsources.yaml").read_text()
