"""Runs the programs that make images, and quotes their last words when they fail."""

import shlex
import subprocess
from pathlib import Path

from testbed.programs.processes import ClusterError

LAST_LINES = 30


def run(*command: str | Path) -> str:
    """Standard output of a command, stripped; raises ClusterError with the end of what it said."""
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        said = f"{result.stdout}\n{result.stderr}".strip().splitlines()[-LAST_LINES:]
        words = shlex.join(str(word) for word in command)
        raise ClusterError("\n".join([f"{words} failed ({result.returncode}):", *said]))
    return result.stdout.strip()


def succeeds(*command: str | Path) -> bool:
    """Whether the command exits with 0."""
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
