"""Which process of this machine is a container's first one, and what a pod's status says of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from testbed.operators.container import (
    NoSuchContainerError,
    find_processes,
    identify_container,
    send_signal,
)
from testbed.operators.installed import count_restarts, read_exit_code

SIGTERM = 15


def add_process(proc: Path, pid: int, container: str, inside: int) -> None:
    """A process as /proc has it: `inside` is its pid in its own namespace."""
    place = proc / str(pid)
    place.mkdir()
    (place / "cgroup").write_text(f"0::/kubepods/besteffort/pod-of-both/{container}\n")
    (place / "status").write_text(f"Name:\tx\nNSpid:\t{pid}\t{inside}\nThreads:\t1\n")


def make_pod(**status: Any) -> dict[str, Any]:
    return {"metadata": {"name": "operator"}, "status": {"containerStatuses": [status]}}


def test_the_first_process_of_a_container_is_the_one_that_its_namespace_calls_1(
    tmp_path: Path,
) -> None:
    (tmp_path / "self").mkdir()
    for pid, container, inside in ((70, "abc", 12), (71, "other", 1), (90, "abc", 1)):
        add_process(tmp_path, pid, container, inside)
    assert find_processes("abc", tmp_path) == [90, 70]


def test_nobody_is_signalled_for_a_container_that_does_not_run_here() -> None:
    gone = make_pod(containerID="containerd://0000-there-is-no-such-container")
    for pod in (gone, make_pod(), {"metadata": {"name": "operator"}}):
        with pytest.raises(NoSuchContainerError, match="pod operator runs nothing"):
            send_signal(pod, SIGTERM)  # type: ignore[arg-type]


def test_what_a_pods_status_says_of_its_container() -> None:
    ended = {"terminated": {"exitCode": 137}}
    pod = make_pod(containerID="containerd://abc", restartCount=2, state=ended)
    assert (identify_container(pod), count_restarts(pod), read_exit_code(pod)) == ("abc", 2, 137)


def test_a_pod_that_has_not_started_has_no_container_and_no_end() -> None:
    pod: dict[str, Any] = {"metadata": {"name": "operator"}, "status": {}}
    assert (identify_container(pod), count_restarts(pod), read_exit_code(pod)) == ("", 0, None)
