"""Processes that outlive the command that starts them, known by pid, start time and boot.

A bare pid may by now belong to somebody else; with its start time it cannot.
"""

import json
import os
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

POLL_SECONDS = 0.05
GOGC = "400"
"Kubernetes' parts trade memory for time: a status write costs the apiserver 4.5 ms, not 6.5."

MARK = "CANARIUM_CLUSTER_DIRECTORY"
RECORD = "processes.jsonl"
LAUNCH = 'log=$1; shift; setsid "$@" </dev/null >>"$log" 2>&1 & echo $!'


class ClusterError(Exception):
    """A cluster could not be brought up or used; the message says what to do about it."""


@dataclass(frozen=True, slots=True)
class Process:
    """One process: ``started`` is its start in clock ticks since the boot named ``boot``."""

    name: str
    pid: int
    started: int
    boot: str

    def is_alive(self) -> bool:
        """Whether this very process still runs; a zombie doesn't."""
        return fetch_boot() == self.boot and fetch_start(self.pid) == self.started


def fetch_boot() -> str:
    """The kernel's identifier of this boot."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def fetch_start(pid: int) -> int | None:
    """Start time of a process in clock ticks since boot; None when it is gone or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] == "Z" else int(fields[19])


def observe(name: str, pid: int) -> Process | None:
    """The process that has this pid now, or None."""
    started = fetch_start(pid)
    return None if started is None else Process(name, pid, started, fetch_boot())


def observe_self() -> Process:
    """The process that runs this."""
    found = observe("python", os.getpid())
    if found is None:
        raise ClusterError("/proc does not show this process: Linux is needed")
    return found


def spawn(
    directory: Path,
    name: str,
    command: Sequence[str | Path],
    env: Mapping[str, str] | None = None,
) -> Process:
    """Start a command for the cluster in ``directory``, detached from us, and record it there.

    Its output is appended to ``logs/NAME.log``. The shell in between ends at once, so the process
    is init's child and leaves us no zombie. It carries the directory in its environment, as do
    its children: so a stray can be told from a stranger even when the record is lost.
    """
    log = directory / "logs" / f"{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    words = [str(word) for word in command]
    if shutil.which(words[0]) is None:
        raise ClusterError(f"{name} cannot be started: there is no program {words[0]}")
    with log.open("a") as file:
        file.write(f"# {shlex.join(words)}\n")
    launched = subprocess.run(
        ["sh", "-c", LAUNCH, "sh", log, *words],
        check=True,
        stdout=subprocess.PIPE,
        env={"GOGC": GOGC, **os.environ, **(env or {}), MARK: str(directory)},
    )
    found = observe(name, int(launched.stdout))
    if found is None:
        raise ClusterError(f"{name} ended as soon as it was started: see {log}")
    with (directory / RECORD).open("a") as file:
        file.write(json.dumps(asdict(found)) + "\n")
    return found


def read_record(directory: Path) -> list[Process]:
    """Every process that was started for the cluster in ``directory``, in order."""
    try:
        lines = (directory / RECORD).read_text().splitlines()
    except FileNotFoundError:
        return []
    return [Process(**json.loads(line)) for line in lines]


def find_strays(directory: Path) -> list[Process]:
    """Running processes that carry the cluster's directory in their environment.

    One that turns into another program shows none for an instant.
    """
    mark = f"{MARK}={directory}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            carried = mark in (entry / "environ").read_bytes().split(b"\0")
        except OSError:
            continue  # gone, or somebody else's
        if carried and (process := observe("stray", int(entry.name))) is not None:
            found.append(process)
    return found


def kill_all(directory: Path) -> None:
    """End every process of the cluster in ``directory``."""
    kill(read_record(directory))
    kill(find_strays(directory))
    (directory / RECORD).unlink(missing_ok=True)


def kill(processes: Iterable[Process], *, seconds: float = 60.0) -> None:
    """End processes at once, and wait until they are gone: what they hold is thrown away anyway."""
    remaining = [process for process in processes if process.is_alive()]
    for process in remaining:
        send(process, signal.SIGKILL)
    if not wait_until(lambda: not any(p.is_alive() for p in remaining), seconds):
        left = ", ".join(f"{p.name} ({p.pid})" for p in remaining if p.is_alive())
        raise ClusterError(f"still running after SIGKILL: {left}")


def send(process: Process, number: signal.Signals) -> None:
    """Signal the process if it is still the one we know."""
    if process.is_alive():
        with suppress(ProcessLookupError):  # it ended between the look and the signal
            os.kill(process.pid, number)


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Poll until the condition holds; False when the time is over first."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True
