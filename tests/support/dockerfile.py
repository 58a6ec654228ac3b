"""The Dockerfile, without Docker: its stages, its build command run on this machine, and the root
directories that its images have.

As a program, what `make build` runs, it builds: so the tests' program is the one in the image."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
# Where its build command puts the programs, and what it makes them with. Both are the tests' own:
# a release takes long to build.
BUILD = ROOT / "target" / "static"
ARGUMENTS = {"PROFILE": "test-release", "BUILD": str(BUILD)}
# Its `cp` replaces each file as a whole: other tests may be running the one before.
COPY = """cp() {
    for to in "$@"; do :; done
    for from in "$@"; do
        [ "$from" = "$to" ] || {
            command cp "$from" "$to/.new" && mv -f "$to/.new" "$to/$(basename "$from")"
        }
    done
}
"""


class Instruction(NamedTuple):
    word: str
    rest: str


class Copy(NamedTuple):
    """A COPY from the build stage: what is copied, where to in the image, and whose it is then."""

    source: Path
    target: Path
    owner: str


@dataclass
class Stage:
    """A stage, from its FROM on."""

    instructions: list[Instruction] = field(default_factory=list)

    def all(self, word: str) -> list[str]:
        """What follows each instruction of that word."""
        return [instruction.rest for instruction in self.instructions if instruction.word == word]

    def one(self, word: str) -> str:
        """What follows the only instruction of that word."""
        (found,) = self.all(word)
        return found

    def words(self, word: str) -> list[str]:
        """What follows an ENTRYPOINT or a CMD; fails if a shell would be needed for it."""
        words = json.loads(self.one(word))
        assert isinstance(words, list)
        return words

    def command(self) -> list[str]:
        """What a container runs."""
        return self.words("ENTRYPOINT") + self.words("CMD")

    def copies(self) -> list[Copy]:
        """What the image has in it."""
        copies = []
        for rest in self.all("COPY"):
            *flags, source, target = rest.split()
            assert flags.pop(0) == "--from=build", rest
            owner = flags.pop().removeprefix("--chown=") if flags else "0:0"
            inside = Path(source).relative_to("/build")
            copies.append(Copy(BUILD / inside, Path(target).relative_to("/"), owner))
        return copies


def stages() -> dict[str, Stage]:
    """The stages by their names."""
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    text = "\n".join(line for line in lines if not line.startswith("#")).replace("\\\n", "")
    found: dict[str, Stage] = {}
    for line in filter(None, text.split("\n")):
        instruction = Instruction(*line.split(maxsplit=1))
        if instruction.word == "FROM":
            image, _, name = instruction.rest.partition(" AS ")
            instruction = Instruction("FROM", image)
            found[name] = Stage()
        list(found.values())[-1].instructions.append(instruction)
    return found


def images() -> dict[str, Stage]:
    """The stages that make an image, which is called as its program."""
    return {name: stage for name, stage in stages().items() if name != "build"}


@functools.cache
def build() -> None:
    """Builds the programs with the build stage's own command. Its output is shown, because it may
    take minutes."""
    stage = stages()["build"]
    declared = {rest.split("=")[0] for rest in stage.all("ARG")}
    assert declared == set(ARGUMENTS), declared
    subprocess.run(
        ["sh", "-euc", COPY + stage.one("RUN")],
        cwd=ROOT,
        env={**os.environ, **ARGUMENTS},
        check=True,
    )


def assemble(stage: Stage, root: Path) -> None:
    """Makes a root directory as the image has it. Owners stay as they come."""
    for copy in stage.copies():
        target = root / copy.target
        target.parent.mkdir(parents=True, exist_ok=True)
        if copy.source.is_dir():
            shutil.copytree(copy.source, target)
        else:
            shutil.copy(copy.source, target)


if __name__ == "__main__":
    build()
