"""Nobody is given a port that somebody else was given and does not listen on yet."""

import subprocess
import sys

from testbed.programs.ports import FIRST, LAST, claim, find_free_ports

FIND = "from testbed.programs.ports import *; print(*find_free_ports({}))"


def find_elsewhere(count: int) -> set[int]:
    """What another process is given, which then ends."""
    command = [sys.executable, "-c", FIND.format(count)]
    return {int(port) for port in subprocess.check_output(command, text=True).split()}


def test_no_port_is_given_twice() -> None:
    given = [*find_free_ports(300), *find_free_ports(300)]

    assert len(set(given)) == 600
    assert FIRST <= min(given) <= max(given) <= LAST


def test_another_process_is_given_none_of_ours_until_this_one_ends() -> None:
    mine = set(find_free_ports(300))
    theirs = find_elsewhere(300)

    assert mine & theirs == set()
    assert any(claim(port) for port in theirs)
