"""The process of a container on this machine, to be signalled as no apiserver would do it.

Works for the local node and for kind: both run containers on this machine's kernel, where root
sees every process and the container that it belongs to.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PROC = Path("/proc")


class NoSuchContainerError(Exception):
    """No process on this machine belongs to the container."""


def find_processes(container: str, proc: Path = PROC) -> list[int]:
    """The pids, of this machine, of all processes in a container; the first is its first one.

    `container` is its id without the runtime's prefix. `proc` is this machine's, but in tests.
    """
    found = [int(entry.name) for entry in proc.iterdir() if entry.name.isdigit()]
    inside = [pid for pid in found if container in _read(proc / str(pid) / "cgroup")]
    return sorted(inside, key=lambda pid: (_pid_inside(proc, pid) != 1, pid))


def send_signal(pod: dict[str, Any], number: signal.Signals) -> int:
    """Signal the first process of a pod's first container; its pid on this machine.

    Raises NoSuchContainerError where it runs elsewhere, or no more.
    """
    container = identify_container(pod)
    found = find_processes(container) if container else []
    if not found:
        raise NoSuchContainerError(f"pod {pod['metadata']['name']} runs nothing on this machine")
    os.kill(found[0], number)
    return found[0]


def identify_container(pod: dict[str, Any]) -> str:
    """The id of the container that a pod's first one is now, "" while there is none."""
    statuses = pod.get("status", {}).get("containerStatuses", [{}])
    return str(statuses[0].get("containerID", "")).rpartition("/")[2]


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # it ended meanwhile
        return ""


def _pid_inside(proc: Path, pid: int) -> int:
    """What its own namespace calls the process: the innermost of NSpid."""
    return next(_find_inside(_read(proc / str(pid) / "status")), 0)


def _find_inside(status: str) -> Iterator[int]:
    for line in status.splitlines():
        if line.startswith("NSpid:"):
            yield int(line.split()[-1])
