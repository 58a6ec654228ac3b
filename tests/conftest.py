"""Fixtures of the whole-program tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from support.documents import Object, save
from support.program import Running, visor


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    """Starts `visor run` on a document (a source, or the path of one); it is ended with the
    test. Each call starts one more."""
    with ExitStack() as stack:

        def start(document: Object | Path, *arguments: str | Path, **more: Any) -> Running:
            if isinstance(document, dict):
                document = save(tmp_path / "source.yaml", document)
            return stack.enter_context(Running(tmp_path, document, *arguments, **more))

        yield start


@pytest.fixture(scope="module")
def emitted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with `emitted.log`, whose lines have tokens, as many as LINES of the module; and
    their report `emitted.json`."""
    directory = tmp_path_factory.mktemp("emitted")
    options = ("--tokens", "-n", str(request.module.LINES), "--report", directory / "emitted.json")
    done = visor("emit", "access", *options, "-o", directory / "emitted.log")
    assert done.returncode == 0, done.stderr
    return directory
