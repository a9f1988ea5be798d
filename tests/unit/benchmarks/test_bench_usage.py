"""What /proc says of a process."""

import os

import pytest

from benchmarks.rollouts.usage import parse_cpu_seconds, parse_memory_mib, read_usage

STAT = "4711 (a (strange) name) S 1 4711 4711 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 3 0 100 1 2"
STATUS = "Name:\tpython\nVmHWM:\t  107520 kB\nVmRSS:\t  102400 kB\nRssAnon:\t 9 kB\n"


def test_cpu_time_is_user_and_system_whatever_the_command_is_called() -> None:
    assert parse_cpu_seconds(STAT, ticks_per_second=100) == 3.0


def test_memory_is_in_mebibytes() -> None:
    assert parse_memory_mib(STATUS, "VmRSS") == 100.0
    assert parse_memory_mib(STATUS, "VmHWM") == 105.0


def test_a_missing_line_is_named() -> None:
    with pytest.raises(ValueError, match="no VmSwap"):
        parse_memory_mib(STATUS, "VmSwap")


def test_a_living_process_has_used_something() -> None:
    found = read_usage(os.getpid())
    assert 0 < found.resident_mib <= found.peak_mib
    assert found.cpu_seconds > 0
