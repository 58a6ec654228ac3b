"""FakeLogSource documents, made in Python and written as JSON (which is YAML)."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

Object = dict[str, Any]


def source(name: str, *generators: Object, **spec: Any) -> Object:
    """A source; `spec` are more fields of its spec, such as `seed`."""
    return {
        "apiVersion": "visor.dev/v1alpha1",
        "kind": "FakeLogSource",
        "metadata": {"name": name},
        "spec": {"generators": list(generators), **spec},
    }


def access(name: str, *streams: Object, output: Object | None = None, **log: Any) -> Object:
    """A generator of an access log; `log` are fields of `access`, such as `format`."""
    return generator(name, "access", log, streams, output)


def error(name: str, *streams: Object, output: Object | None = None, **log: Any) -> Object:
    """A generator of an error log; `log` are fields of `error`, such as `mpm`."""
    return generator(name, "error", log, streams, output)


def generator(
    name: str, kind: str, log: Object, streams: tuple[Object, ...], output: Object | None
) -> Object:
    made: Object = {"name": name, kind: log}
    if streams:
        made["streams"] = list(streams)
    if output:
        made["output"] = output
    return made


def stream(name: str, kind: str, interval: Object | None = None, **more: Any) -> Object:
    """A stream; `interval` is a distribution such as `rate(100)`."""
    return {"name": name, "kind": kind, **({"interval": interval} if interval else {}), **more}


def rate(lines_per_second: int) -> Object:
    return {"rate": {"linesPerSecond": lines_per_second}}


def fixed(duration: str) -> Object:
    return {"fixed": duration}


UNLIMITED: Object = {"unlimited": {}}
STDOUT: Object = {"stdout": {}}


def file(path: str, **rotation: Any) -> Object:
    """A file output; `rotation` are the fields of its rotation, if any."""
    return {"file": {"path": path, **({"rotation": rotation} if rotation else {})}}


def text_of(*sources: Object) -> str:
    """Many documents in one text."""
    return "".join(f"---\n{json.dumps(document, indent=1)}\n" for document in sources)


def save(path: Path, *sources: Object) -> Path:
    """Writes the documents atomically, for readers of the file."""
    new = path.with_name(f".{path.name}.new")
    new.write_text(text_of(*sources))
    os.replace(new, path)
    return path
