import asyncio
from collections.abc import Callable

import pytest
from canarium.errors import UnavailableError
from canarium.kube.lease import Lease, LeaseLostError, Timing
from canarium.kube.transport import ApiRequest
from canarium.sim.loop import VirtualLoop

from tests.unit.kube.clock import VirtualClock
from tests.unit.kube.fake import FakeClient

QUICK = Timing(duration=15.0, deadline=10.0, period=0.001)
DOWN = UnavailableError("no route")
SOON = 40.0


class Stage:
    """Two operators, one apiserver, and a clock that stands still."""

    def __init__(self) -> None:
        self.client = FakeClient()
        self.clock = VirtualClock()
        self.a, self.b = (self.make(name) for name in ("a", "b"))

    def make(self, name: str) -> Lease:
        clock = self.clock.time
        return Lease(self.client, "canarium", "operator", name, timing=QUICK, clock=clock)

    def holder(self) -> str:
        return str(self.client.objects["Lease", "operator"]["spec"]["holderIdentity"])

    def break_down(self, *, times: int = 9999) -> None:
        for verb in ("get", "update"):
            self.client.refuse(f"{verb} Lease operator", *[DOWN] * times)


class SlowClient(FakeClient):
    """An apiserver that does at once what it is asked, and says so five seconds late."""

    async def send(self, request: ApiRequest) -> bytes:
        try:
            return await super().send(request)
        finally:
            await asyncio.sleep(5.0)


async def waits(lease: Lease) -> bool:
    """Whether a standby is still one after a good many looks."""
    try:
        await asyncio.wait_for(lease.acquire(), 0.03)
    except TimeoutError:
        return True
    return False


async def eventually(holds: Callable[[], bool]) -> None:
    """Wait for what comes of some looks, however late the machine is with them."""
    async with asyncio.timeout(SOON):
        while not holds():  # noqa: ASYNC110 - a lease has no event to wait for
            await asyncio.sleep(QUICK.period)


async def test_the_first_creates_the_lease_and_the_second_waits() -> None:
    stage = Stage()
    await stage.a.acquire()
    assert (stage.holder(), await waits(stage.b), stage.holder()) == ("a", True, "a")


async def test_a_lease_expires_only_when_nobody_was_seen_to_renew_it_for_its_duration() -> None:
    stage = Stage()
    await stage.a.acquire()
    stage.clock.advance(1000.0)
    assert await waits(stage.b), "its clock says nothing before it has seen the lease itself"
    stage.clock.advance(14.9)
    assert await waits(stage.b)
    stage.clock.advance(0.2)
    assert (await waits(stage.b), stage.holder()) == (False, "b")


async def test_a_lease_that_is_renewed_is_never_taken() -> None:
    stage = Stage()
    await stage.a.acquire()
    await waits(stage.b)
    stage.clock.advance(14.0)
    assert await stage.a._attempt(stage.a._renew, 1.0)
    stage.clock.advance(14.0)
    assert await waits(stage.b)


async def test_a_lease_given_back_is_taken_at_once_and_the_change_is_counted() -> None:
    stage = Stage()
    await stage.a.acquire()
    await stage.a.release()
    await stage.b.acquire()
    assert stage.client.objects["Lease", "operator"]["spec"]["leaseTransitions"] == 1


async def test_a_lease_is_given_back_though_a_renewal_landed_whose_answer_was_lost() -> None:
    stage = Stage()
    await stage.a.acquire()
    await stage.make("a").acquire()  # what the apiserver saw of a renewal that was cancelled
    await stage.a.release()
    assert stage.holder() == ""


async def test_an_apiserver_that_is_down_is_asked_once_to_take_the_lease_back() -> None:
    stage = Stage()
    await stage.a.acquire()
    stage.break_down(times=1)
    await stage.a.release()
    assert stage.holder() == "a"


async def test_a_holder_goes_on_through_a_short_outage() -> None:
    stage = Stage()
    await stage.a.acquire()
    stage.break_down(times=5)
    before = len(stage.client.requests)
    holding = asyncio.create_task(stage.a.hold())
    await eventually(lambda: len(stage.client.requests) > before + 10)
    assert (holding.done(), stage.client.refusals["update Lease operator"]) == (False, [])
    holding.cancel()
    await asyncio.wait([holding])


async def test_a_holder_gives_up_when_it_could_not_renew_by_the_deadline() -> None:
    stage = Stage()
    await stage.a.acquire()
    stage.break_down()
    holding = asyncio.ensure_future(stage.a.hold())
    await asyncio.sleep(0.02)
    assert not holding.done()
    stage.clock.advance(10.0)
    with pytest.raises(LeaseLostError, match="canarium/operator is lost"):
        await asyncio.wait_for(holding, SOON)


async def test_a_holder_gives_up_as_soon_as_it_sees_another_ones_name() -> None:
    stage = Stage()
    await stage.a.acquire()
    await waits(stage.b)
    stage.clock.advance(20.0)
    await stage.b.acquire()
    with pytest.raises(LeaseLostError):
        await asyncio.wait_for(stage.a.hold(), SOON)


async def test_a_lease_that_somebody_deleted_is_made_anew_by_its_holder() -> None:
    stage = Stage()
    await stage.a.acquire()
    del stage.client.objects["Lease", "operator"]
    holding = asyncio.create_task(stage.a.hold())
    await eventually(lambda: ("Lease", "operator") in stage.client.objects)
    assert (holding.done(), stage.holder(), await waits(stage.b)) == (False, "a", True)
    holding.cancel()
    await asyncio.wait([holding])


async def test_of_a_deleted_lease_another_one_may_be_the_quicker() -> None:
    stage = Stage()
    await stage.a.acquire()
    del stage.client.objects["Lease", "operator"]
    await stage.b.acquire()
    with pytest.raises(LeaseLostError):
        await asyncio.wait_for(stage.a.hold(), SOON)
    assert stage.holder() == "b"


async def test_a_lease_is_held_until_shortly_before_others_may_take_it() -> None:
    stage = Stage()
    assert not stage.a.is_held
    await stage.a.acquire()
    held = []
    for seconds in (12.0, 1.0):
        stage.clock.advance(seconds)
        held.append(stage.a.is_held)
    assert held == [True, False]


async def test_two_that_reach_for_an_expired_lease_do_not_both_get_it() -> None:
    stage = Stage()
    await stage.make("old").acquire()
    for standby in (stage.a, stage.b):
        await waits(standby)
    stage.clock.advance(16.0)
    racers = [asyncio.ensure_future(lease.acquire()) for lease in (stage.a, stage.b)]
    done, waiting = await asyncio.wait(racers, timeout=0.05)
    assert (len(done), len(waiting)) == (1, 1)
    for task in waiting:
        task.cancel()
    await asyncio.wait(racers)


def test_slow_answers_cost_nobody_the_lease() -> None:
    async def lead() -> None:
        clock, client = asyncio.get_running_loop().time, SlowClient()
        lease = Lease(client, "canarium", "operator", "a", timing=Timing(), clock=clock)
        await lease.acquire()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(lease.hold(), 120.0)

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(lead())


def test_a_standby_looks_when_the_lease_expires_and_not_a_period_later() -> None:
    async def stand_by() -> float:
        clock, client = asyncio.get_running_loop().time, FakeClient()
        timing = Timing(duration=15.0, deadline=10.0, period=11.0)
        a, b = (
            Lease(client, "canarium", "operator", name, timing=timing, clock=clock) for name in "ab"
        )
        await a.acquire()
        await b.acquire()
        return clock()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        assert runner.run(stand_by()) == pytest.approx(15.0)


@pytest.mark.parametrize(
    "written",
    ["0000-01-01T00:00:00.000000Z", "10000-01-01T00:00:00.000000Z", "0001-01-01T00:00:00"],
)
async def test_a_lease_of_a_year_that_python_has_not_is_taken_all_the_same(written: str) -> None:
    stage = Stage()
    await stage.a.acquire()
    await stage.a.release()
    lease = stage.client.objects["Lease", "operator"]
    lease["spec"]["renewTime"] = written
    await stage.b.acquire()
    assert (stage.holder(), stage.b.gap_seconds) == ("b", 0.0)
    lease = stage.client.objects["Lease", "operator"]
    lease["spec"] |= {"holderIdentity": "a", "renewTime": written}
    assert await waits(stage.make("c"))
