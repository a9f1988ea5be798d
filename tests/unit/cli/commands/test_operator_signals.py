"""SIGTERM ends the operator well from its first moment on."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
from collections.abc import Iterator

import pytest
from canarium.cli.commands import operator


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def test_a_sigterm_while_modules_are_read_and_kopf_is_not_up_is_a_good_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    passed = list[str]()

    async def start(_: argparse.Namespace) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        passed.append("signalled")
        await asyncio.sleep(30)
        passed.append("went on")

    monkeypatch.setattr(operator, "_run", start)
    arguments = argparse.Namespace(log_format="text", log_level="info")
    assert operator.run_operator(arguments) == 0
    assert "went on" not in passed
