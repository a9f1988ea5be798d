"""An open-loop load client: requests leave on a fixed schedule, however slowly answers come back.

It runs as a process of its own (`python -m testbed.load.traffic …`), so that nothing else disturbs
its clock, and writes one JSON line a request. Nothing is retried; what fails is counted.

Beside its requests it asks a bystander, a server that has nothing to do with what is tested. A
request that ran out of time while the bystander was silent too tells of the machine, not of the
product: it is set apart (`Report.stalled`), and a run with many of those proves nothing.
"""

import argparse
import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TextIO

import aiohttp

from testbed.load.ramp import Ramp, parse_ramp

LATE_SECONDS = 1.0
"A request that cannot leave within this time of its plan is given up: it counts as not sent."
LATE_ERRORS = ("TimeoutError", "DEADLINE_EXCEEDED")
"How the errors of requests that ran out of time end, by HTTP and by gRPC."
LOOK_SECONDS = 0.1
"How often the bystander is asked."
STALL_SECONDS = 0.5
"""A bystander that is silent for so long was not given a processor; it answers within 10 ms.

Or the client was not given one to ask it."""


@dataclass(frozen=True, slots=True)
class Load:
    """What to send: requests as a ramp has them, each given `timeout` seconds.

    `host` is the Host header; `body` is JSON and is POSTed as it is.
    """

    url: str
    host: str
    ramp: Ramp
    body: str
    timeout: float = 2.0


@dataclass(frozen=True, slots=True)
class Answer:
    """One request. Times are seconds since the epoch, `latency` is seconds.

    `start` is None when the request was never sent. `status` is None when no answer came, and
    `error` then names why. `version` is the model version that the answer says it came from.
    """

    number: int
    planned: float
    start: float | None = None
    latency: float | None = None
    status: int | None = None
    error: str = ""
    version: str = ""

    @property
    def ok(self) -> bool:
        """Whether the client got what it asked for."""
        return self.status == 200


@dataclass(frozen=True, slots=True)
class Stall:
    """A time in which the machine stood still, in seconds since the epoch."""

    begin: float
    end: float

    def covers(self, answer: Answer) -> bool:
        """Whether a request was under way while it lasted, for as long as makes one late."""
        if answer.start is None or answer.latency is None:
            return False
        overlap = min(self.end, answer.start + answer.latency) - max(self.begin, answer.start)
        return overlap >= STALL_SECONDS

    def kept_back(self, answer: Answer) -> bool:
        """Whether a request could not leave because it was due while nobody could send it."""
        return answer.start is None and self.begin <= answer.planned <= self.end


@dataclass(slots=True)
class Schedule:
    """When each request is due, on two clocks: one that never jumps, and one that people read."""

    ramp: Ramp
    began_monotonic: float
    began: float

    def due(self, number: int) -> float:
        """Monotonic time at which a request leaves; `number` counts from 0."""
        return self.began_monotonic + self.ramp.due(number)

    def wall(self, number: int) -> float:
        """The same in seconds since the epoch."""
        return self.began + self.ramp.due(number)

    def to_wall(self, monotonic: float) -> float:
        """Seconds since the epoch of a monotonic time."""
        return self.began + monotonic - self.began_monotonic


Send = Callable[[], Awaitable[tuple[int | None, str, str]]]
"""Sends one request: the answer's status, or why there is none, and the version that it names."""


class Client:
    """Sends a load and writes what became of each request."""

    def __init__(self, load: Load, send: Send, log: TextIO) -> None:
        self._load = load
        self._send = send
        self._log = log
        self._schedule = Schedule(load.ramp, time.monotonic(), time.time())

    async def run(self, stop: asyncio.Event) -> int:
        """Send until the schedule ends or `stop` is set; returns how many were planned by then."""
        number = 0
        async with asyncio.TaskGroup() as sending:
            while number < self._load.ramp.planned and not await self._wait_until_due(number, stop):
                sending.create_task(self._request(number))
                number += 1
        return number

    async def _wait_until_due(self, number: int, stop: asyncio.Event) -> bool:
        delay = self._schedule.due(number) - time.monotonic()
        if delay <= 0 or stop.is_set():
            await asyncio.sleep(0)
            return stop.is_set()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), delay)
        return stop.is_set()

    async def _request(self, number: int) -> None:
        planned, started = self._schedule.wall(number), time.monotonic()
        if started - self._schedule.due(number) > LATE_SECONDS:
            self._write(Answer(number, planned, error="NotSent"))
            return
        status, error, version = await self._send()
        latency = time.monotonic() - started
        start = self._schedule.to_wall(started)
        self._write(Answer(number, planned, start, latency, status, error, version))

    def _write(self, answer: Answer) -> None:
        self._log.write(json.dumps(asdict(answer)) + "\n")
        self._log.flush()


def make_sender(load: Load, session: aiohttp.ClientSession) -> Send:
    """POST the load's body."""

    async def send() -> tuple[int | None, str, str]:
        try:
            async with session.post(load.url, data=load.body) as response:
                return response.status, "", read_version(await response.text())
        except (aiohttp.ClientError, TimeoutError) as error:
            return None, type(error).__name__, ""

    return send


def read_version(body: str) -> str:
    """The `model_version` of an Open Inference Protocol v2 answer; "" when it names none."""
    try:
        answer = json.loads(body)
    except ValueError:
        return ""
    return str(answer.get("model_version") or "") if isinstance(answer, Mapping) else ""


def make_session(load: Load) -> aiohttp.ClientSession:
    """A pool of kept-alive connections that is never the bottleneck."""
    return aiohttp.ClientSession(
        headers={"Host": load.host, "Content-Type": "application/json"},
        timeout=aiohttp.ClientTimeout(total=load.timeout),
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=60),
    )


async def send_load(load: Load, log: TextIO, stop: asyncio.Event) -> None:
    """Send the load; the last line that is written says how many requests were planned."""
    async with make_session(load) as session:
        await write_load(load, make_sender(load, session), log, stop)


async def write_load(load: Load, send: Send, log: TextIO, stop: asyncio.Event) -> None:
    """Send it this way; the last line that is written says how many requests were planned."""
    async with run_bystander() as (_, port), watching(port, log):
        planned = await Client(load, send, log).run(stop)
    log.write(json.dumps({"finished": True, "planned": planned}) + "\n")
    log.flush()


@contextlib.asynccontextmanager
async def run_bystander() -> AsyncIterator[tuple[int, int]]:
    """A bystander beside this process; yields its pid and port. It ends with us, however we end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "testbed.load.bystander",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield process.pid, int(await process.stdout.readline())
    finally:
        process.stdin.close()
        await process.wait()


@contextlib.asynccontextmanager
async def watching(port: int, log: TextIO) -> AsyncIterator[None]:
    """Ask the bystander all the while, and write down when it was silent."""
    task = asyncio.create_task(watch_bystander(port, log))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def watch_bystander(port: int, log: TextIO) -> None:
    """Ask one time after the other; each silence is a line with its begin and its end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        while True:
            with noting_silence(log):
                await asyncio.sleep(LOOK_SECONDS)
                writer.write(b"?\n")
                await reader.readline()
    finally:
        writer.close()


@contextlib.contextmanager
def noting_silence(log: TextIO) -> Iterator[None]:
    """Write down that the block took long, also where it is cancelled meanwhile."""
    begin, started = time.time(), time.monotonic()
    try:
        yield
    finally:
        seconds = time.monotonic() - started
        if seconds >= LOOK_SECONDS + STALL_SECONDS:
            log.write(json.dumps({"stall": [begin, begin + seconds]}) + "\n")
            log.flush()


@dataclass(frozen=True, slots=True)
class Report:
    """What a client saw. `planned` is 0 until the client has finished."""

    planned: int
    answers: tuple[Answer, ...]
    stalls: tuple[Stall, ...] = ()

    @property
    def sent(self) -> tuple[Answer, ...]:
        """The requests that left."""
        return tuple(answer for answer in self.answers if answer.start is not None)

    @property
    def sent_share(self) -> float:
        """How much of the plan was sent, 0 to 1."""
        return len(self.sent) / self.planned if self.planned else 0.0

    @property
    def worst_lag(self) -> float:
        """Seconds by which the latest request left too late: what the client itself suffered."""
        return max((a.start - a.planned for a in self.sent if a.start is not None), default=0.0)

    @property
    def failures(self) -> tuple[Answer, ...]:
        """The requests that left and didn't end in a 200, in the order in which they left.

        Without those that ran out of time while the machine stood still.
        """
        return tuple(a for a in self.sent if not a.ok and not self._is_stalled(a))

    @property
    def stalled(self) -> tuple[Answer, ...]:
        """The requests that ran out of time while a bystander got no answer out either."""
        return tuple(answer for answer in self.sent if self._is_stalled(answer))

    @property
    def kept_back(self) -> tuple[Answer, ...]:
        """The requests that never left, since the machine stood still when they were due."""
        return tuple(a for a in self.answers if any(stall.kept_back(a) for stall in self.stalls))

    @property
    def told_share(self) -> float:
        """How much of the plan was sent and tells of the product, 0 to 1."""
        told = len(self.sent) - len(self.stalled)
        return told / self.planned if self.planned else 0.0

    @property
    def proven_share(self) -> float:
        """The same of what was due while the machine ran: less is the client's own fault."""
        due = self.planned - len(self.stalled) - len(self.kept_back)
        return (len(self.sent) - len(self.stalled)) / due if due > 0 else 0.0

    def _is_stalled(self, answer: Answer) -> bool:
        late = answer.status is None and answer.error.endswith(LATE_ERRORS)
        return late and any(stall.covers(answer) for stall in self.stalls)

    def between(self, begin: float, end: float) -> "Report":
        """Only what left within these seconds since the epoch."""
        chosen = tuple(a for a in self.sent if a.start is not None and begin <= a.start < end)
        return Report(len(chosen), chosen, self.stalls)

    def shares(self) -> dict[str, float]:
        """The share of the good answers, 0 to 1, that each version gave."""
        versions = [answer.version for answer in self.answers if answer.ok]
        return {name: versions.count(name) / len(versions) for name in sorted(set(versions))}

    @property
    def last_version(self) -> str:
        """The version that gave the last good answer: the last request of all may not have left."""
        return next((answer.version for answer in reversed(self.answers) if answer.ok), "")

    def failing_span(self, status: int = 500) -> float | None:
        """Seconds from the first answer with this status to the last; None when there was none."""
        seen = [a.start + (a.latency or 0.0) for a in self.sent if a.start and a.status == status]
        return max(seen) - min(seen) if seen else None

    def describe_failures(self, most: int = 10) -> str:
        """One line a failure, for the message of a failed assertion."""
        lines = [
            f"#{a.number} at {a.start:.3f}: {a.status or a.error} after {a.latency:.3f} s"
            for a in self.failures[:most]
        ]
        head = (
            f"{len(self.failures)} of {len(self.sent)} failed, worst lag {self.worst_lag:.3f} s, "
            f"{len(self.stalls)} times the machine stood still ({len(self.stalled)} requests, "
            f"{len(self.kept_back)} more never left)"
        )
        return "\n".join([head, *lines])


def read_report(log: Path) -> Report:
    """Read what a client wrote; a last line that is only half there is passed over."""
    planned, answers, stalls = 0, [], []
    for line in log.read_text().splitlines(keepends=True):
        if not line.endswith("\n"):
            continue
        row: dict[str, Any] = json.loads(line)
        if "finished" in row:
            planned = row["planned"]
        elif "stall" in row:
            stalls.append(Stall(*row["stall"]))
        else:
            answers.append(Answer(**row))
    in_order = tuple(sorted(answers, key=lambda answer: answer.number))
    return Report(planned, in_order, tuple(stalls))


def parse_arguments(arguments: list[str]) -> tuple[Load, Path]:
    """The command line as a load and the file to write to."""
    parser = argparse.ArgumentParser(prog="python -m testbed.load.traffic", description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--host", required=True)
    parser.add_argument("--ramp", type=parse_ramp, required=True, help="0:20,600:20 or so")
    parser.add_argument("--body", required=True)
    parser.add_argument("--log", type=Path, required=True)
    given = parser.parse_args(arguments)
    return Load(given.url, given.host, given.ramp, given.body), given.log


SendLoad = Callable[[Load, TextIO, asyncio.Event], Awaitable[None]]


async def run_client(load: Load, log: Path, send: SendLoad = send_load) -> None:
    """Send the load until it ends or SIGTERM asks for the end."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    with log.open("w") as file:
        await send(load, file, stop)


def go_first() -> None:
    """Let the clock of the measurement be disturbed by nobody, where one may ask for that."""
    with contextlib.suppress(PermissionError):
        os.nice(-10)


if __name__ == "__main__":
    go_first()
    asyncio.run(run_client(*parse_arguments(sys.argv[1:])))
