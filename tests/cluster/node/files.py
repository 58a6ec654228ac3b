"""Files and commands: how the other modules write the ones and run the others."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from node import settings


def write(path: Path, content: str | dict[str, Any], mode: int = 0o644) -> Path:
    """Writes a text, or an object as JSON, and makes the directories above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = content if isinstance(content, str) else json.dumps(content, indent=1)
    with open(path, "w", opener=lambda name, flags: os.open(name, flags, mode)) as file:
        file.write(text)
    return path


def read_json(path: Path) -> dict[str, Any]:
    """An object that `write` wrote; empty if there is none, or only part of one."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return {}


def command(*words: str | Path) -> str:
    """Runs a command and returns its output; exits if it fails."""
    done = subprocess.run(
        [str(word) for word in words],
        env=settings.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        line = " ".join(map(str, words))
        raise SystemExit(f"cluster: {line}: exit code {done.returncode}\n{done.stdout}")
    return done.stdout
