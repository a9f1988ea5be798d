"""The load client keeps to its schedule, retries nothing, and counts whatever fails."""

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from aiohttp import web

from testbed.load import traffic
from testbed.load.ramp import steady
from testbed.load.traffic import (
    STALL_SECONDS,
    Answer,
    Load,
    Report,
    Stall,
    read_report,
    read_version,
    run_bystander,
    send_load,
    watching,
)


class Model:
    """A server that answers as it is told to, and remembers when it was asked."""

    def __init__(self) -> None:
        self.status, self.delay, self.asked = 200, 0.0, 0
        self.when_asked: dict[int, Callable[[], None]] = {}

    async def answer(self, request: web.Request) -> web.Response:
        self.asked += 1
        self.when_asked.get(self.asked, lambda: None)()
        assert request.headers["Host"] == "iris.example.com"
        assert request.content_type == "application/json"
        await asyncio.sleep(self.delay)
        return web.json_response({"model_version": "v2"}, status=self.status)


@pytest.fixture
async def model() -> Model:
    return Model()


@pytest.fixture
async def url(model: Model) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_post("/infer", model.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/infer"
    await runner.cleanup()


PATIENCE_SECONDS = 30.0
"For what is not about lateness: the machine may stand still."


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every planned request leave, however slow the machine is."""
    monkeypatch.setattr(traffic, "LATE_SECONDS", PATIENCE_SECONDS)


async def run(tmp_path: Path, url: str, timeout: float = PATIENCE_SECONDS) -> Report:  # noqa: ASYNC109 # the client's
    wanted = Load(url, "iris.example.com", steady(50.0, 0.4), "{}", timeout)
    log = tmp_path / "log"
    with log.open("w") as file:
        await send_load(wanted, file, asyncio.Event())
    return read_report(log)


async def test_every_planned_request_is_sent_and_names_its_version(
    tmp_path: Path, url: str, model: Model
) -> None:
    report = await run(tmp_path, url)

    assert (report.planned, report.sent_share, report.failures) == (20, 1.0, ())
    assert report.shares() == {"v2": 1.0}


async def test_requests_leave_on_schedule_while_answers_are_slow(
    tmp_path: Path, url: str, model: Model
) -> None:
    model.delay = 0.3

    report = await run(tmp_path, url)

    ends = [(a.start or 0.0) + (a.latency or 0.0) for a in report.sent]
    starts = [answer.start or 0.0 for answer in report.sent]
    assert len(starts) == 20
    assert all(now >= answer.planned for now, answer in zip(starts, report.sent, strict=True))
    # Nearly all leave before the one before is answered, 0.3 s after it left.
    assert sum(later < end for end, later in zip(ends, starts[1:], strict=False)) >= 15


async def test_an_error_counts_once_and_is_not_retried(
    tmp_path: Path, url: str, model: Model
) -> None:
    model.status = 500

    report = await run(tmp_path, url)

    assert (model.asked, len(report.failures)) == (20, 20)
    assert {answer.status for answer in report.failures} == {500}


async def test_a_late_answer_is_a_failure(tmp_path: Path, url: str, model: Model) -> None:
    model.delay = 1.0

    report = await run(tmp_path, url, timeout=0.1)

    assert [a.error for a in report.failures] == ["ServerTimeoutError"] * 20 or [
        a.error for a in report.failures
    ] == ["TimeoutError"] * 20


async def test_a_bystander_that_gets_no_processor_is_written_down(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("w") as file:
        async with run_bystander() as (process, port), watching(port, file):
            os.kill(process, signal.SIGSTOP)
            await asyncio.sleep(4 * STALL_SECONDS)  # it may be asked late
            os.kill(process, signal.SIGCONT)

    assert any(stall.end - stall.begin >= STALL_SECONDS for stall in read_report(log).stalls)


async def test_a_client_that_gets_no_processor_writes_it_down(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("w") as file:
        async with run_bystander() as (_, port), watching(port, file):
            await asyncio.sleep(0.05)
            time.sleep(2 * STALL_SECONDS)  # noqa: ASYNC251 - what stands still
            await asyncio.sleep(0.05)

    assert any(stall.end - stall.begin >= STALL_SECONDS for stall in read_report(log).stalls)


def test_a_request_that_was_due_while_the_machine_stood_still_is_nobodys() -> None:
    kept = [Answer(number, 10.0 + number / 20, error="NotSent") for number in range(20)]
    mine = Answer(20, 30.0, error="NotSent")
    good = [Answer(number, 31.0, 31.0, 0.1, 200, "", "v1") for number in range(21, 100)]

    report = Report(100, (*kept, mine, *good), (Stall(9.9, 12.0),))

    assert report.kept_back == tuple(kept)
    assert (report.told_share, report.proven_share) == (0.79, 79 / 80)
    assert Report(20, tuple(kept), (Stall(9.9, 12.0),)).proven_share == 0.0


def test_the_last_version_is_that_of_the_last_good_answer() -> None:
    good = Answer(0, 10.0, 10.0, 0.1, 200, "", "v2")

    assert Report(2, (good, Answer(1, 10.1, error="NotSent"))).last_version == "v2"
    assert Report(0, ()).last_version == ""


def test_a_request_that_ran_out_of_time_while_the_machine_stood_still_tells_nothing() -> None:
    late = Answer(0, 10.0, 10.0, 2.0, None, "TimeoutError")
    call = Answer(4, 10.0, 10.0, 2.0, None, "DEADLINE_EXCEEDED")
    refused = Answer(1, 10.0, 10.0, 2.0, None, "ClientConnectorError")
    failed = Answer(2, 10.0, 10.0, 2.0, 503)
    hung = Answer(3, 20.0, 20.0, 2.0, None, "ServerTimeoutError")
    good = [Answer(number, 30.0, 30.0, 0.1, 200) for number in range(5, 100)]

    report = Report(100, (late, refused, failed, hung, call, *good), (Stall(10.5, 11.5),))

    assert report.stalled == (late, call)
    assert report.failures == (refused, failed, hung)
    assert (report.sent_share, report.told_share, report.proven_share) == (1.0, 0.98, 1.0)
    assert report.between(5.0, 15.0).failures == (refused, failed)
    assert (
        "1 times the machine stood still (2 requests, 0 more never left)"
        in report.describe_failures()
    )


def test_a_blink_of_the_machine_excuses_nothing() -> None:
    late = Answer(0, 10.0, 10.0, 2.0, None, "TimeoutError")

    report = Report(1, (late,), (Stall(9.0, 10.1),))

    assert report.failures == (late,)


async def test_a_refused_connection_is_a_failure(tmp_path: Path, unused_tcp_port: int) -> None:
    report = await run(tmp_path, f"http://127.0.0.1:{unused_tcp_port}/infer")

    assert len(report.failures) == len(report.sent) == 20
    assert {answer.status for answer in report.failures} == {None}


async def test_the_client_stops_when_asked_and_says_how_many_were_planned(
    tmp_path: Path, url: str, model: Model
) -> None:
    stop, log = asyncio.Event(), tmp_path / "log"
    model.when_asked[10] = stop.set

    with log.open("w") as file:
        wanted = Load(url, "iris.example.com", steady(50.0, 60.0), "{}", PATIENCE_SECONDS)
        await send_load(wanted, file, stop)

    assert 10 <= read_report(log).planned == model.asked < 2000


def test_the_span_of_failures_runs_from_the_first_answer_to_the_last() -> None:
    answers = [
        Answer(0, 10.0, 10.0, 0.5, 200),
        Answer(1, 11.0, 11.0, 0.5, 500),
        Answer(2, 12.0, 12.0, 0.5, None, "TimeoutError"),
        Answer(3, 13.0, 13.0, 1.0, 500),
        Answer(4, 14.0, error="NotSent"),
    ]
    report = Report(5, tuple(answers))

    assert report.failing_span() == 2.5
    assert report.sent_share == 0.8
    assert report.worst_lag == 0.0
    assert report.between(11.0, 13.0).answers == tuple(answers[1:3])
    assert Report(1, tuple(answers[:1])).failing_span() is None


@pytest.mark.parametrize(
    ("body", "want"),
    [
        (json.dumps({"model_version": "v3"}), "v3"),
        (json.dumps({"model_version": None}), ""),
        ("Internal Server Error", ""),
        ("[]", ""),
    ],
)
def test_the_version_is_what_the_answer_says(body: str, want: str) -> None:
    assert read_version(body) == want
