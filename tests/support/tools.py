"""Programs that the tests need beside the one under test, and ports for them."""

from __future__ import annotations

import os
import shutil
import socket
from typing import NoReturn

import pytest

# Administrators' commands are out of an ordinary user's path.
PATH = os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin"


def tool(name: str) -> str:
    """The path of a program. Where it is missing the test is skipped; in continuous integration
    it fails, since the set-up should have installed it."""
    path = shutil.which(name, path=PATH)
    if path is None:
        do_without(f"{name} is missing; `make setup` as root installs it")
    return path


def do_without(what: str) -> NoReturn:
    """Ends a test that lacks a tool: it is skipped on a developer's machine, and fails in
    continuous integration, which has all tools."""
    if os.environ.get("CI"):
        pytest.fail(what)
    pytest.skip(what)


def need_root() -> None:
    """Does without the test unless it may mount file systems and change owners."""
    if os.geteuid() != 0:
        do_without("needs root")


def free_port() -> int:
    """A free port of the loopback addresses, IPv4 and IPv6."""
    for _ in range(100):
        with socket.socket(socket.AF_INET) as four, socket.socket(socket.AF_INET6) as six:
            four.bind(("127.0.0.1", 0))
            port = four.getsockname()[1]
            try:
                six.bind(("::1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no port is free on both loopback addresses")
