"""Servers of one namespace that answer whatever is hostile, all at once, beside twenty models."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

SECONDS = 20
MORE_MIB = 80
"Twice what was measured; before there were bounds it was a thousand within seconds."
LONGEST_ROUND_MS = 50
TRIES = 3
"What else the machine does can only add to what it takes: one good try tells it."


def read_image() -> dict[str, str]:
    """The environment, with what the image says of memory."""
    text = (Path(__file__).parents[2] / "Dockerfile").read_text(encoding="utf-8")
    found = dict(re.findall(r"(MALLOC_\w+)=(\d+)", text))
    assert len(found) == 2
    return {**os.environ, **found}


def run() -> str:
    """One run, as a line of JSON."""
    command = [sys.executable, "-m", "tests.measured.attacked", "--seconds", str(SECONDS)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=read_image())
    assert done.returncode == 0, done.stderr
    return done.stdout


def is_kept(said: str) -> bool:
    """Whether nobody waited, and memory stayed as it was."""
    found = json.loads(said)
    alone, attacked = found["alone"], found["attacked"]
    return bool(
        alone["failed"] == attacked["failed"] == 0
        and attacked["resident_mib"] - alone["resident_mib"] <= MORE_MIB
        and attacked["round_p99_ms"] <= LONGEST_ROUND_MS
        and attacked["readings"] >= alone["readings"] / 5
    )


@pytest.mark.timeout(30 * SECONDS)
def test_hostile_answers_take_little_memory_and_keep_nobody_waiting() -> None:
    """Halves of one run are compared: by themselves, and beside everything hostile."""
    tries = []
    for _ in range(TRIES):
        tries.append(run())
        print(tries[-1])
        if is_kept(tries[-1]):
            return
    pytest.fail("".join(tries))
