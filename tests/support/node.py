"""The clients with which Node's users send logs."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

from support.tools import do_without, tool

TESTS = Path(__file__).parent.parent
SCRIPT, PACKAGES = TESTS / "node" / "deliver.mjs", TESTS.parent / "target" / "node"


def deliver(client: str, address: str, lines: bytes, **options: object) -> None:
    """Sends lines to an address by a client, with its options."""
    node = tool("node")
    if not (PACKAGES / "node_modules").is_dir():
        do_without("the packages of tests/node are missing; `make setup` installs them")
    # Modules are found next to the file.
    script = shutil.copy(SCRIPT, PACKAGES)
    command = [node, script, client, address, json.dumps(options)]
    subprocess.run(command, input=lines, check=True, timeout=120)
