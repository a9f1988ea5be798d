"""What a process has used, from /proc: processor time and resident memory."""

import os
import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU seconds since its start (user and system), resident memory now and at its peak in MiB."""

    cpu_seconds: float
    resident_mib: float
    peak_mib: float


def parse_cpu_seconds(stat: str, ticks_per_second: int) -> float:
    """utime + stime of /proc/PID/stat, the 14th and 15th fields of proc_pid_stat(5).

    The second field, the command's name in parentheses, may hold spaces and parentheses.
    """
    fields = stat.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / ticks_per_second


def parse_memory_mib(status: str, name: str) -> float:
    """One of the kB lines of /proc/PID/status, such as VmRSS or VmHWM."""
    found = re.search(rf"^{name}:\s+(\d+) kB$", status, re.MULTILINE)
    if found is None:
        raise ValueError(f"/proc/PID/status has no {name}")
    return int(found[1]) / 1024


def read_usage(pid: int) -> Usage:
    """What the process has used by now; raises FileNotFoundError when it is gone."""
    process = Path(f"/proc/{pid}")
    status = (process / "status").read_text()
    return Usage(
        cpu_seconds=parse_cpu_seconds((process / "stat").read_text(), os.sysconf("SC_CLK_TCK")),
        resident_mib=parse_memory_mib(status, "VmRSS"),
        peak_mib=parse_memory_mib(status, "VmHWM"),
    )
