"""The engine's formatter behind a pipe: it reads fields and writes log lines.

Texts are strings whose characters are bytes (latin-1), since httpd's fields are bytes.
"""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any

BUILT_BY_CARGO = ["cargo", "run", "-q", "-p", "xtask", "--"]


def text(value: bytes) -> str:
    """Bytes as the formatter's JSON has them."""
    return value.decode("latin-1")


def render(requests: list[dict[str, Any]]) -> list[bytes]:
    """One line for each request, without its line end. See crates/xtask/src/format.rs
    for what a request is."""
    built = os.environ.get("XTASK")
    done = subprocess.run(
        [*([built] if built else BUILT_BY_CARGO), "format"],
        input="".join(json.dumps(request) + "\n" for request in requests).encode(),
        capture_output=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr.decode()
    lines = done.stdout.split(b"\n")
    assert lines.pop() == b"", "the last line is cut"
    assert len(lines) == len(requests)
    return lines


def access(log_format: str, time_zone: str, fields: dict[str, Any]) -> dict[str, Any]:
    """A request for a line of an access log."""
    return {"access": {"logFormat": log_format, "timeZone": time_zone, "fields": fields}}


def nginx(log_format: str, fields: dict[str, Any]) -> dict[str, Any]:
    """A request for a line of an access log of nginx, in UTC."""
    return {"access": {"nginxLogFormat": log_format, "timeZone": "UTC", "fields": fields}}


def error(
    mpm: str, time_zone: str, fields: dict[str, Any], log_format: str | None = None
) -> dict[str, Any]:
    """A request for a line of an error log of httpd 2.4, in its default format or in this one."""
    return {
        "error": {
            "errorLogFormat": log_format,
            "mpm": mpm.capitalize(),
            "timeZone": time_zone,
            "fields": fields,
        }
    }
