"""Waiting for conditions: the only place of the tests that sleeps."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

# How long a condition may take on a loaded machine before the test fails. Never a measure of
# speed: what is measured is compared with itself.
TIMEOUT = 60.0


def wait_for(
    what: str, condition: Callable[[], T], timeout: float = TIMEOUT, pause: float = 0.01
) -> T:
    """Returns the first true value of `condition`; fails if there is none within `timeout` seconds.
    `what` describes the condition, and `pause` is the time between two checks."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout:.0f} s in vain for: {what}")
        time.sleep(pause)
