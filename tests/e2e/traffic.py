"""An open-loop load client: requests leave on a fixed schedule, however slowly answers come back.

It runs as a process of its own (`python -m tests.e2e.traffic …`), so that nothing else disturbs
its clock, and writes one JSON line a request. Nothing is retried; what fails is counted.
"""

import argparse
import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TextIO

import aiohttp

from tests.e2e.ramp import Ramp, parse_ramp

LATE_SECONDS = 1.0
"A request that cannot leave within this time of its plan is given up: it counts as not sent."


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
    planned = await Client(load, send, log).run(stop)
    log.write(json.dumps({"finished": True, "planned": planned}) + "\n")
    log.flush()


@dataclass(frozen=True, slots=True)
class Report:
    """What a client saw. `planned` is 0 until the client has finished."""

    planned: int
    answers: tuple[Answer, ...]

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
        """The requests that left and didn't end in a 200, in the order in which they left."""
        return tuple(answer for answer in self.sent if not answer.ok)

    def between(self, begin: float, end: float) -> "Report":
        """Only what left within these seconds since the epoch."""
        chosen = tuple(a for a in self.sent if a.start is not None and begin <= a.start < end)
        return Report(len(chosen), chosen)

    def shares(self) -> dict[str, float]:
        """The share of the good answers, 0 to 1, that each version gave."""
        versions = [answer.version for answer in self.answers if answer.ok]
        return {name: versions.count(name) / len(versions) for name in sorted(set(versions))}

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
        head = f"{len(self.failures)} of {len(self.sent)} failed, worst lag {self.worst_lag:.3f} s"
        return "\n".join([head, *lines])


def read_report(log: Path) -> Report:
    """Read what a client wrote; a last line that is only half there is passed over."""
    planned, answers = 0, []
    for line in log.read_text().splitlines(keepends=True):
        if not line.endswith("\n"):
            continue
        row: dict[str, Any] = json.loads(line)
        if "finished" in row:
            planned = row["planned"]
        else:
            answers.append(Answer(**row))
    return Report(planned, tuple(sorted(answers, key=lambda answer: answer.number)))


def parse_arguments(arguments: list[str]) -> tuple[Load, Path]:
    """The command line as a load and the file to write to."""
    parser = argparse.ArgumentParser(prog="python -m tests.e2e.traffic", description=__doc__)
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
