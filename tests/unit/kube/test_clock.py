"""The time that decisions are made by, while every clock around it jumps."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from canarium.core.status import format_time
from canarium.kube.clock import MOST_STEP, ClusterClock
from canarium.kube.lease import Lease, Timing

from tests.unit.kube.clock import VirtualClock
from tests.unit.kube.fake import FakeClient

EPOCH = 1_800_000_000.0
HOUR = 3600.0


class Stage:
    """The right time, and how far this machine's clock and the apiserver's are from it."""

    def __init__(self, *, machine: float = 0.0, apiserver: float = 0.0) -> None:
        self.virtual = VirtualClock()
        self.machine, self.apiserver = machine, apiserver
        self.clock = ClusterClock(lambda: self.right + self.machine, self.virtual.time)

    @property
    def right(self) -> float:
        return EPOCH + self.virtual.time()

    def answer(self, *, took: float = 0.0) -> None:
        begun, said = self.virtual.time(), self.right + self.apiserver
        self.virtual.advance(took)
        self.clock.hear(format_datetime(datetime.fromtimestamp(said, UTC), usegmt=True), begun)


@pytest.mark.parametrize("machine", [-86400.0, -HOUR, -90.0, -2.0, 0.0, 0.4, 90.0, HOUR, 86400.0])
def test_the_first_answer_sets_the_clock(machine: float) -> None:
    stage = Stage(machine=machine)
    stage.answer(took=0.2)
    assert abs(stage.clock.now() - stage.right) <= 1.2


def test_a_machine_whose_clock_is_right_goes_by_it_to_the_millisecond() -> None:
    stage = Stage()
    for _ in range(50):
        stage.virtual.advance(1.37)
        stage.answer(took=0.05)
        assert stage.clock.now() == stage.right


@pytest.mark.parametrize("jump", [-86400.0, -90.0, 90.0, HOUR])
@pytest.mark.parametrize("whose", ["machine", "apiserver"])
def test_whosever_clock_jumps_time_goes_on_as_it_does(whose: str, jump: float) -> None:
    stage = Stage()
    stage.answer()
    setattr(stage, whose, jump)
    before = stage.clock.now()
    for _ in range(30):
        stage.virtual.advance(2.0)
        stage.answer(took=0.01)
    assert stage.clock.now() - before == pytest.approx(60.3, abs=30 * MOST_STEP + 1e-6)


def test_the_apiservers_clock_is_followed_little_by_little() -> None:
    stage = Stage()
    stage.answer()
    stage.apiserver = 20.0
    for _ in range(600):
        stage.virtual.advance(2.0)
        stage.answer()
    assert abs(stage.clock.now() - stage.right - 20.0) <= 1.0


@pytest.mark.parametrize("date", ["", "yesterday", "Sun, 99 Nov 2026 00:00:00 GMT"])
def test_a_date_that_is_none_is_passed_over(date: str) -> None:
    stage = Stage()
    stage.clock.hear(date, 0.0)
    assert stage.clock.now() == stage.right


def test_a_clock_that_is_elsewhere_is_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    stage = Stage(machine=90.0)
    for _ in range(20):
        stage.virtual.advance(2.0)
        stage.answer()
    (told,) = [record.getMessage() for record in caplog.records]
    assert told.startswith("this machine's clock is ")
    assert told.endswith(" s ahead of the time that is gone by, which doesn't jump")


async def stand_by(stage: Stage, predecessor: float) -> Lease:
    """One that took the lease after another had held it, by a clock so far from the right one."""
    client = FakeClient()
    timing = Timing(period=0.001)
    ahead = ClusterClock(lambda: stage.right + predecessor, stage.virtual.time)
    first, second = (
        Lease(client, "canarium", "operator", name, timing=timing,
              clock=stage.virtual.time, time_of_day=clock)
        for name, clock in (("a", ahead), ("b", stage.clock))
    )  # fmt: skip
    await first.acquire()
    assert not await second._take()
    stage.virtual.advance(2.0)
    await first._renew()
    stage.virtual.advance(1.0)
    assert not await second._take()
    stage.virtual.advance(20.0)
    await second.acquire()
    return second


@pytest.mark.parametrize("predecessor", [-90.0, 0.0, 90.0, HOUR])
async def test_a_new_leader_goes_on_by_the_clock_of_the_one_before(predecessor: float) -> None:
    stage = Stage()
    stage.answer()
    lease = await stand_by(stage, predecessor)
    assert abs(stage.clock.now() - stage.right - predecessor) <= 4.0
    assert lease.gap_seconds == pytest.approx(21.0, abs=4.0)


async def test_the_renewal_is_told_by_the_time_that_decisions_are_made_by() -> None:
    stage, client = Stage(machine=HOUR), FakeClient()
    stage.answer()
    lease = Lease(
        client, "canarium", "operator", "a", clock=stage.virtual.time, time_of_day=stage.clock
    )
    await lease.acquire()
    written = client.objects["Lease", "operator"]["spec"]["renewTime"]
    assert written[:19] == format_time(stage.clock.now())[:19]
    assert lease.gap_seconds == 0.0


async def test_a_lease_that_nobody_renewed_for_an_hour_says_so() -> None:
    stage, client = Stage(), FakeClient()
    for name in ("a", "b"):
        lease = Lease(
            client, "canarium", "operator", name, timing=Timing(period=0.001),
            clock=stage.virtual.time, time_of_day=stage.clock,
        )  # fmt: skip
        await lease.acquire()
        await lease.release()
        gap = lease.gap_seconds
        stage.virtual.advance(HOUR)
    assert gap == pytest.approx(HOUR)
