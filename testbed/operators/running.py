"""The processes of an end-to-end run: the operator, the load client and the witness.

Each is a child process with its output in a file, so that none disturbs another's clock.
"""

import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol
from urllib.error import URLError
from urllib.request import urlopen

from testbed.load.ramp import format_ramp
from testbed.load.traffic import Report, read_report
from testbed.programs.ports import find_free_ports
from testbed.witness.watcher import find_mark

ROOT = Path(__file__).parents[2]
POLL_SECONDS = 0.1
READY_SECONDS = 90.0
"A killed leader's Lease lasts 15 s; the next operator is ready only after that."
STOP_SECONDS = 60.0
"A pod that doesn't end is killed sooner, which its exit code tells."
ANSWER_SECONDS = 30.0
DISABLED = ("--disable", "Istio")
"""What the values under test switch off: no cluster of ours has Istio, so its rules could not be
shown to be needed (testbed/operators/account.py)."""
IRIS = '{"inputs":[{"name":"x","shape":[1,4],"datatype":"FP32","data":[5.1,3.5,1.4,0.2]}]}'
"One flower, as the Open Inference Protocol v2 wants it."

STEADY = ((0.0, 20.0), (600.0, 20.0))
"20 requests a second, for ten minutes at most."


class NotRunningError(Exception):
    """A process ended, or didn't begin to work; the message holds the end of its log."""


@dataclass(slots=True)
class Child:
    """A process of ours and the file that its output is appended to."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self.process.poll() is None

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Signal it, wait until it is gone, and return its exit code."""
        if self.alive:
            self.process.send_signal(number)
        try:
            return self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(STOP_SECONDS)
            raise NotRunningError(f"did not end within {STOP_SECONDS} s: {self.tail()}") from None

    def tail(self, lines: int = 30) -> str:
        """The last lines of its output."""
        found = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n".join([f"--- {self.log}", *found[-lines:]])


def spawn(words: Sequence[str], log: Path) -> Child:
    """Start `python -m …` with its output appended to a file."""
    with log.open("ab") as output:
        command = [sys.executable, "-m", *words]
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd=ROOT)
    return Child(process, log)


class Operator(Protocol):
    """An operator that serves one namespace, wherever it runs, and that tests start and end."""

    @property
    def namespace(self) -> str:
        """Where its account and its Lease are."""

    @property
    def alive(self) -> bool:
        """Whether it runs, and never ended by itself."""

    def start(self) -> None:
        """Start it and wait until it says that it is ready."""

    def stop(self) -> None:
        """Ask it to end, as Kubernetes does, and make sure that it ended well."""

    def kill(self) -> None:
        """SIGKILL: nothing of it gets a chance to say good-bye."""

    def restart(self) -> None:
        """Stop and start again."""

    def remove(self) -> None:
        """Stop it for good, and leave nothing of it."""

    def get(self, path: str) -> str:
        """What it answers on its port for probes and metrics."""

    def tell(self) -> str:
        """Its last words."""


@dataclass(slots=True)
class RunningOperator:
    """The operator out of the cluster, for one namespace.

    Without a `lease` it acts at once. Lease and account are in the namespace that it serves, or
    in a `home` beside it.
    """

    kubeconfig: Path
    log: Path
    watched: str
    lease: bool = True
    home: str = ""
    child: Child | None = field(default=None, init=False)
    address: str = field(default="", init=False)
    "Where its probes and metrics are, as host:port."

    @property
    def namespace(self) -> str:
        """Where its account and its Lease are."""
        return self.home or self.watched

    @property
    def alive(self) -> bool:
        """Whether its process runs."""
        return self.child is not None and self.child.alive

    def start(self) -> None:
        """Start it and wait until it says that it is ready."""
        self.address = address = f"127.0.0.1:{find_free_ports(1)[0]}"
        words = ["canarium", "operator", "run", "--kubeconfig", str(self.kubeconfig)]
        words += ["--probe-address", address, "--namespace", self.watched]
        words += DISABLED
        words += ["--allow-network", "127.0.0.0/8"]  # where tests answer for Prometheus and the web
        words += ["--lease-namespace", self.namespace] if self.lease else ["--no-leader-election"]
        self.child = spawn(words, self.log)
        self._wait_until_ready(f"http://{address}/readyz")

    def stop(self) -> None:
        """Ask it to end, as Kubernetes does, and make sure that it ended well."""
        if self.child is not None and self.child.end() != 0:
            raise NotRunningError(f"the operator did not end well: {self.child.tail()}")
        self.child = None

    def kill(self) -> None:
        """SIGKILL: nothing of it gets a chance to say good-bye."""
        if self.child is not None:
            self.child.end(signal.SIGKILL)
        self.child = None

    def restart(self) -> None:
        """Stop and start again."""
        self.stop()
        self.start()

    def remove(self) -> None:
        """The same as stop: a process leaves nothing."""
        self.stop()

    def get(self, path: str) -> str:
        """What it answers on its port for probes and metrics."""
        with urlopen(f"http://{self.address}{path}", timeout=ANSWER_SECONDS) as answer:
            return str(answer.read().decode())

    def tell(self) -> str:
        """The last lines of its output."""
        return self.child.tail() if self.child else ""

    def _wait_until_ready(self, url: str) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while not is_ok(url):
            if not self.alive or time.monotonic() > deadline:
                raise NotRunningError(f"the operator did not become ready: {self.tell()}")
            time.sleep(POLL_SECONDS)


def is_ok(url: str) -> bool:
    """Whether a GET is answered with 200."""
    try:
        with urlopen(url, timeout=2) as answer:  # noqa: S310 - a URL of our own
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False


@dataclass(slots=True)
class RunningLoad:
    """The load client at work."""

    child: Child
    answers: Path

    def stop(self) -> Report:
        """Stop sending and return what the client saw."""
        if self.child.end() != 0:
            raise NotRunningError(f"the load client failed: {self.child.tail()}")
        return self.report()

    def report(self) -> Report:
        """What the client has seen so far."""
        return read_report(self.answers)


def start_load(
    gateway: str,
    host: str,
    directory: Path,
    points: Sequence[tuple[float, float]] = STEADY,
    client: str = "testbed.load.traffic",
) -> RunningLoad:
    """Send predictions for the iris model through a gateway until stopped, or the ramp ends.

    The first has come back when this returns, with whatever became of it.
    `points` are those of the ramp: seconds after the beginning, requests a second. `client` is
    the module that sends them.
    """
    answers = directory / "answers.jsonl"
    answers.write_text("")
    url = f"{gateway}/v2/models/iris/infer"
    words = [client, url, "--host", host, "--body", IRIS]
    words += ["--ramp", format_ramp(points)]
    child = spawn([*words, "--log", str(answers)], directory / "traffic.log")
    load, deadline = RunningLoad(child, answers), time.monotonic() + READY_SECONDS
    while not load.report().answers:
        if not child.alive or time.monotonic() > deadline:
            child.process.kill()
            raise NotRunningError(f"the load client did not begin: {child.tail()}")
        time.sleep(POLL_SECONDS)
    return load


def start_witness(kubeconfig: Path, directory: Path) -> tuple[Child, Path]:
    """Start the witness; once nothing escapes it, return it with the file that it writes to."""
    log = directory / "witness.jsonl"
    log.touch()
    words = ["testbed.witness.watcher", "--kubeconfig", str(kubeconfig), "--log", str(log)]
    child, deadline = spawn(words, directory / "witness.log"), time.monotonic() + READY_SECONDS
    while not find_mark(log).exists():
        if not child.alive or time.monotonic() > deadline:
            raise NotRunningError(f"the witness did not begin: {child.tail()}")
        time.sleep(POLL_SECONDS)
    return child, log
