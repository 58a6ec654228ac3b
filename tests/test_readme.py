"""What the documentation shows is what the program does.

Every ```sh block of README.md, docs/recipes.md and docs/truth.md is run by bash (errexit, pipefail) in an empty
directory that has the repository's manifests in it, with these conventions:

- `visor` is the program under test, and so is `cargo run --release --bin visor --`;
- `make` only says what it would do, for `make test` is what runs this test;
- a line that ends with `# Ctrl-C` is interrupted once lines are written, and must exit with 0;
- port 9464 stands for a free one;
- a ```text block right after it shows lines that it must say.

Every ```yaml block is a document and is validated. Blocks of other languages are not run.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from support.documents import access, file, rate, source, stream
from support.metrics import get
from support.program import BINARY, visor
from support.tools import PATH, free_port, tool
from support.waiting import TIMEOUT, wait_for

ROOT = Path(__file__).parents[1]
PAGES = ["README.md", "docs/recipes.md", "docs/truth.md"]
SAMPLES_ROOT = ROOT / "manifests" / "samples"
# A sample with objects of other kinds is a directory.
SAMPLES = sorted([*SAMPLES_ROOT.glob("*.yaml"), *SAMPLES_ROOT.glob("*/source.yaml")])
INTERRUPT = "# Ctrl-C"

# With any other arguments, the stand-in for cargo fails.
RUN_VISOR = "run --release --bin visor --"
SHIMS = {
    "visor": 'exec "{binary}" "$@"',
    "cargo": f'[ "$1 $2 $3 $4 $5" = "{RUN_VISOR}" ] && shift 5 && exec "{{binary}}" "$@"',
    "make": 'exec "{make}" -C "{root}" --dry-run "$@"',
}


def blocks(page: str, language: str) -> Iterator[pytest.param]:
    """The fenced blocks of a language, each named by its page and line, with its expected
    output."""
    text = (ROOT / page).read_text()
    fence = rf"^```{language}\n(.*?)^```\n(?:\n```text\n(.*?)^```$)?"
    for match in re.finditer(fence, text, re.MULTILINE | re.DOTALL):
        line = text.count("\n", 0, match.start()) + 1
        yield pytest.param(match[1], match[2] or "", id=f"{page}:{line}")


def every_block(language: str) -> list[pytest.param]:
    return [block for page in PAGES for block in blocks(page, language)]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """An empty directory but for the manifests."""
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "manifests").symlink_to(ROOT / "manifests")
    return tmp_path / "work"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A path on which the commands are what the page means by them."""
    shims = tmp_path / "bin"
    shims.mkdir()
    for name, body in SHIMS.items():
        script = shims / name
        text = body.format(binary=BINARY, root=ROOT, make=shutil.which("make"))
        script.write_text(f"#!/bin/sh\n{text}\n")
        script.chmod(0o755)
    return {**os.environ, "PATH": f"{shims}:{PATH}"}


class Shell:
    """A part of a block, run by bash in a process group of its own: it ends with the test."""

    def __init__(self, text: str, place: Path, environment: dict[str, str]) -> None:
        self.output_text = place.parent / "said"
        with self.output_text.open("wb") as output_text:
            self.process = subprocess.Popen(
                ["bash", "-euo", "pipefail", "-c", text],
                stdin=subprocess.DEVNULL,
                stdout=output_text,
                stderr=subprocess.STDOUT,
                cwd=place,
                env=environment,
                start_new_session=True,
            )

    def __enter__(self) -> Shell:
        return self

    def __exit__(self, *_: object) -> None:
        # Also what a block that failed has left in the background.
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def end(self) -> None:
        """Waits for the end, which must be a success."""
        code = self.process.wait(TIMEOUT)
        assert code == 0, (
            f"exit code {code}\n{self.output_text.read_text(errors='replace')[-4000:]}"
        )


def is_interrupted(line: str) -> bool:
    return line.rstrip().endswith(INTERRUPT)


def parts(block: str) -> Iterator[str]:
    """The block, cut around its lines that are to be interrupted."""
    gathered = ""
    for line in block.splitlines(keepends=True):
        if is_interrupted(line):
            if gathered:
                yield gathered
            yield line
            gathered = ""
        else:
            gathered += line
    if gathered:
        yield gathered


@pytest.mark.parametrize(("block", "shown"), every_block("sh"))
def test_every_command_works(
    block: str, shown: str, place: Path, environment: dict[str, str]
) -> None:
    for command in ("curl", "logrotate"):
        if re.search(rf"\b{command} ", block):
            tool(command)
    block = block.replace("9464", str(free_port()))
    for text in parts(block):
        if not is_interrupted(text):
            with Shell(text, place, environment) as shell:
                shell.end()
            output_text = (place.parent / "said").read_text(errors="replace")
            assert not set(shown.splitlines()) - set(output_text.splitlines()), output_text
            continue
        command = text.rsplit(INTERRUPT, 1)[0].strip()
        with Shell(f"exec {command}", place, environment) as shell:

            def lines_are_written(shell: Shell = shell) -> bool:
                assert shell.process.poll() is None, shell.output_text.read_text()
                logs = [*place.glob("*.log"), *place.glob("logs/*.log")]
                return any(log.stat().st_size > 0 for log in logs)

            wait_for(f"lines of `{command}`", lines_are_written)
            shell.process.send_signal(signal.SIGINT)
            shell.end()


def test_a_command_that_fails_is_noticed(place: Path, environment: dict[str, str]) -> None:
    failing = "visor emit access -n 1 > one.log\nvisor validate -f nowhere.yaml\ntrue\n"
    with Shell(failing, place, environment) as shell, pytest.raises(AssertionError, match="code 1"):
        shell.end()
    assert (place / "one.log").read_bytes().count(b"\n") == 1


# The others are files of collectors.
DOCUMENTS = [block for block in every_block("yaml") if "apiVersion: " in block.values[0]]


@pytest.mark.parametrize(("block", "_"), DOCUMENTS)
def test_every_document_shown_is_valid(block: str, _: str) -> None:
    checked = visor("validate", "-f", "-", stdin=block)
    assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: str(path.relative_to(SAMPLES_ROOT)))
def test_every_sample_is_valid_and_called_as_its_file(sample: Path) -> None:
    checked = visor("validate", "-f", sample)
    assert checked.returncode == 0, checked.stderr
    name = sample.stem if sample.parent == SAMPLES_ROOT else sample.parent.name
    assert checked.stdout.decode() == f"valid: {name}\n"


def test_the_pages_have_blocks_to_run() -> None:
    assert len(every_block("sh")) > 15
    assert len([block for block in every_block("sh") if block.values[1]]) >= 2


def test_the_metrics_are_those_that_are_documented(run) -> None:
    requests = stream("requests", "Access", rate(100))
    running = run(source("shop", access("web", requests, output=file("web.log"))))
    running.wait_for_lines(1)
    served = set(re.findall(r"^# TYPE (\S+)", get(running.address), re.MULTILINE))
    running.stop()
    # Those of the process are every Prometheus client's, and documented as a whole.
    of_the_process = {name for name in served if name.startswith("process_")}
    assert {"process_cpu_seconds_total", "process_start_time_seconds"} < of_the_process
    assert {"process_resident_memory_bytes", "process_open_fds"} < of_the_process
    served -= of_the_process
    assert len(served) >= 10
    page = (ROOT / "docs" / "reference" / "visor.md").read_text()
    documented = set(re.findall(r"^\| `(visor_[a-z_]+)` \|", page, re.MULTILINE))
    assert documented == served
    assert set(re.findall(r"^\| `(process_[a-z_]+)` \|", page, re.MULTILINE)) == of_the_process


def links(page: Path) -> Iterator[str]:
    text = re.sub(r"```.*?```|`[^`]*`", "", page.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not target.startswith(("http://", "https://")):
            yield target


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    words = [re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings]
    return {heading.replace(" ", "-") for heading in words}


@pytest.mark.parametrize(
    "page",
    [*ROOT.glob("*.md"), *sorted((ROOT / "docs").rglob("*.md"))],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in links(page):
        name, _, anchor = link.partition("#")
        there = (page.parent / name).resolve() if name else page
        assert there.exists(), link
        if anchor:
            assert anchor in anchors(there), link
