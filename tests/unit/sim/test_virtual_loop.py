import asyncio
import time
from collections.abc import Iterator

import pytest
from canarium.sim.loop import StandstillError, VirtualLoop


@pytest.fixture
def loop() -> Iterator[VirtualLoop]:
    found = VirtualLoop()
    yield found
    found.close()


def test_a_day_of_sleep_takes_no_time(loop: VirtualLoop) -> None:
    begun = time.monotonic()
    loop.run_until_complete(asyncio.sleep(86_400.0))
    assert loop.time() == pytest.approx(86_400.0)
    assert time.monotonic() - begun < 3600.0


def test_sleepers_wake_in_the_order_of_their_times(loop: VirtualLoop) -> None:
    woken: list[tuple[float, float]] = []

    async def sleep(seconds: float) -> None:
        await asyncio.sleep(seconds)
        woken.append((seconds, round(loop.time(), 6)))

    async def sleep_all() -> None:
        await asyncio.gather(*(sleep(seconds) for seconds in (3.0, 0.1, 2.0)))

    loop.run_until_complete(sleep_all())
    assert woken == [(0.1, 0.1), (2.0, 2.0), (3.0, 3.0)]


def test_waiting_for_what_never_comes_is_an_error(loop: VirtualLoop) -> None:
    future = loop.create_future()
    with pytest.raises(StandstillError):
        loop.run_until_complete(future)
