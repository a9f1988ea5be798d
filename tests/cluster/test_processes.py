"""Processes are known by more than their pid, and strays by the directory that they carry."""

from dataclasses import replace
from pathlib import Path

import pytest

from testbed.programs.processes import (
    ClusterError,
    find_strays,
    kill,
    kill_all,
    read_record,
    spawn,
    wait_until,
)


def test_a_spawned_process_runs_detached_and_is_recorded(tmp_path: Path) -> None:
    process = spawn(tmp_path, "sleeper", ["sleep", "60"])

    assert process.is_alive()
    assert read_record(tmp_path) == [process]
    stray = replace(process, name="stray")
    assert wait_until(lambda: find_strays(tmp_path) == [stray], 40)

    kill_all(tmp_path)

    assert not process.is_alive()
    assert read_record(tmp_path) == []


def test_another_process_with_the_same_pid_is_not_the_one_we_know(tmp_path: Path) -> None:
    process = spawn(tmp_path, "sleeper", ["sleep", "60"])
    earlier = replace(process, started=process.started - 1)
    before_reboot = replace(process, boot="another")

    kill([earlier, before_reboot])

    assert (process.is_alive(), earlier.is_alive(), before_reboot.is_alive()) == (
        True,
        False,
        False,
    )
    kill_all(tmp_path)


def test_children_end_with_the_cluster_though_only_the_parent_was_recorded(tmp_path: Path) -> None:
    spawn(tmp_path, "parent", ["sh", "-c", "sleep 60 & sleep 60 & exec sleep 60"])
    assert wait_until(lambda: len(find_strays(tmp_path)) == 3, 40)

    kill_all(tmp_path)

    assert find_strays(tmp_path) == []


def test_output_goes_to_a_log_of_the_processs_name(tmp_path: Path) -> None:
    spawn(tmp_path, "speaker", ["sh", "-c", "echo out; echo err >&2; sleep 60"])
    log = tmp_path / "logs" / "speaker.log"

    assert wait_until(lambda: log.read_text().splitlines()[1:] == ["out", "err"], 40)
    kill_all(tmp_path)


def test_a_condition_that_never_holds_is_given_up() -> None:
    assert wait_until(lambda: False, 0.1) is False


def test_a_program_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="no program /no/such/program"):
        spawn(tmp_path, "absent", ["/no/such/program"])
