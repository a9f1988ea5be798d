"""Deadlines of seconds, which no machine that stands still for some seconds may miss in tests.

Who answers here is on loopback and does it at once, or never. What is tested of deadlines has some
of less than a second.
"""

import asyncio
from collections.abc import Iterator

import pytest
from canarium.sim.loop import VirtualLoop

PATIENCE_SECONDS = 40.0
"Less than a test has, which is four minutes."


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have deadlines of a second and more come late; in virtual time they come when they come."""
    real = asyncio.timeout

    def timeout(delay: float | None) -> asyncio.Timeout:
        virtual = isinstance(asyncio.get_running_loop(), VirtualLoop)
        is_long = delay is not None and 1.0 <= delay < PATIENCE_SECONDS
        return real(PATIENCE_SECONDS if is_long and not virtual else delay)

    with monkeypatch.context() as patched:
        patched.setattr(asyncio, "timeout", timeout)
        yield
