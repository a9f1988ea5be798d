import asyncio

import pytest
from canarium.kube.informers.store import Key
from canarium.kube.queues.backoff import Backoff
from canarium.kube.queues.workqueue import (
    BURST_SECONDS,
    MOST_OF_ONE_NAMESPACE,
    ORDINARY_AT_ONCE,
    ORDINARY_BESIDE_URGENT,
    WorkQueue,
)

from tests.unit.kube.clock import VirtualClock

A, B, C = (("risk", name) for name in "abc")


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def queue(clock: VirtualClock) -> WorkQueue[Key]:
    return WorkQueue(clock, Backoff(first_seconds=1.0, longest_seconds=8.0))


async def take_all(queue: WorkQueue[Key]) -> list[tuple[str, str]]:
    """Take and finish whatever is there now."""
    taken = []
    while queue.depth:
        taken.append(await queue.get())
        queue.done(taken[-1])
    return taken


async def test_keys_come_out_once_and_in_order(queue: WorkQueue[Key]) -> None:
    for key in (A, B, A, C, B):
        queue.add(key)
    assert await take_all(queue) == [A, B, C]


async def test_urgent_keys_come_first_even_when_they_were_queued_as_ordinary(
    queue: WorkQueue[Key],
) -> None:
    for key in (A, B, C):
        queue.add(key)
    queue.add(C, urgent=True)
    assert await take_all(queue) == [C, A, B]


async def test_a_preferred_key_is_urgent_whoever_asks_for_it(queue: WorkQueue[Key]) -> None:
    queue.prefer(B, urgent=True)
    queue.add(A)
    queue.add(B)
    assert await take_all(queue) == [B, A]
    queue.prefer(B, urgent=False)
    queue.add(A)
    queue.add(B)
    assert await take_all(queue) == [A, B]


async def test_ordinary_keys_that_are_stuck_leave_workers_for_urgent_ones(
    queue: WorkQueue[Key],
) -> None:
    for number in range(2 * ORDINARY_AT_ONCE):
        queue.add(("risk", f"ordinary-{number}"))
    stuck = [await queue.get() for _ in range(ORDINARY_AT_ONCE)]
    waiting = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    assert not waiting.done()

    queue.add(A, urgent=True)
    assert await waiting == A
    queue.done(A)
    queue.done(stuck[0])
    assert await queue.get() == ("risk", f"ordinary-{ORDINARY_AT_ONCE}")


async def test_beside_an_urgent_key_few_ordinary_ones_are_begun(queue: WorkQueue[Key]) -> None:
    queue.add(A, urgent=True)
    for number in range(ORDINARY_AT_ONCE):
        queue.add(("risk", f"ordinary-{number}"))
    assert await queue.get() == A
    begun = [await queue.get() for _ in range(ORDINARY_BESIDE_URGENT)]
    waiting = [asyncio.create_task(queue.get()) for _ in range(2)]
    await asyncio.sleep(0)
    assert (len(begun), [task.done() for task in waiting]) == (2, [False, False])

    queue.done(A)
    assert await asyncio.gather(*waiting) == [("risk", "ordinary-2"), ("risk", "ordinary-3")]


@pytest.mark.parametrize("urgent", [False, True])
async def test_the_namespaces_take_turns_in_each_class(queue: WorkQueue[Key], urgent: bool) -> None:
    many = [("flood", f"m-{number}") for number in range(100)]
    for key in (*many, A, B, ("shop", "a")):
        queue.add(key, urgent=urgent)
    taken = await take_all(queue)
    assert taken[:6] == [many[0], A, ("shop", "a"), many[1], B, many[2]]
    assert taken[6:] == many[3:]


async def test_a_namespace_comes_anew_at_the_end_of_the_round(queue: WorkQueue[Key]) -> None:
    for key in (("flood", "a"), ("flood", "b"), ("shop", "a")):
        queue.add(key)
    assert await queue.get() == ("flood", "a")
    queue.add(A)
    assert [await queue.get() for _ in range(3)] == [("shop", "a"), ("flood", "b"), A]


async def test_a_key_that_became_urgent_takes_no_turn_of_its_namespace(
    queue: WorkQueue[Key],
) -> None:
    for key in (A, B, ("shop", "a"), ("shop", "b")):
        queue.add(key)
    queue.add(A, urgent=True)
    assert await take_all(queue) == [A, B, ("shop", "a"), ("shop", "b")]


async def test_one_namespace_whose_requests_hang_leaves_room_for_one_of_another(
    queue: WorkQueue[Key],
) -> None:
    for number in range(2 * ORDINARY_AT_ONCE):
        queue.add(("flood", f"m-{number}"))
    for _ in range(ORDINARY_AT_ONCE):
        await queue.get()
    queue.add(A)
    queue.add(B)
    assert await queue.get() == A
    waiting = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    assert not waiting.done()
    queue.done(A)
    assert await waiting == B


async def test_one_namespaces_rollbacks_leave_workers_for_those_of_others(
    queue: WorkQueue[Key],
) -> None:
    for number in range(MOST_OF_ONE_NAMESPACE + 1):
        queue.add(("flood", f"m-{number}"), urgent=True)
    for _ in range(MOST_OF_ONE_NAMESPACE):
        await queue.get()
    waiting = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    assert not waiting.done()
    queue.add(A, urgent=True)
    assert await waiting == A
    queue.add(("flood", "ordinary"))
    queue.done(("flood", "m-0"))
    assert await queue.get() == ("flood", f"m-{MOST_OF_ONE_NAMESPACE}")


async def test_a_key_that_is_worked_on_is_not_handed_out_again_before_it_is_done(
    queue: WorkQueue[Key],
) -> None:
    queue.add(A)
    assert await queue.get() == A
    queue.add(A)
    other = asyncio.ensure_future(queue.get())
    await asyncio.sleep(0)
    assert not other.done()
    queue.done(A)
    assert await other == A


async def test_what_becomes_urgent_while_it_is_worked_on_is_urgent_afterwards(
    queue: WorkQueue[Key],
) -> None:
    queue.add(A)
    await queue.get()
    queue.add(B)
    queue.add(A, urgent=True)
    queue.done(A)
    assert await take_all(queue) == [A, B]


async def test_a_worker_that_waits_gets_the_next_key(queue: WorkQueue[Key]) -> None:
    waiting = asyncio.ensure_future(queue.get())
    await asyncio.sleep(0)
    queue.add(A)
    assert await waiting == A


async def test_a_canceled_worker_loses_no_key(queue: WorkQueue[Key]) -> None:
    first, second = (asyncio.ensure_future(queue.get()) for _ in range(2))
    await asyncio.sleep(0)
    queue.add(A)
    first.cancel()
    assert await second == A


async def test_a_key_is_due_at_the_earliest_time_asked_for(
    queue: WorkQueue[Key], clock: VirtualClock
) -> None:
    for when in (5.0, 3.0, 9.0):
        queue.add_at(A, when)
    clock.advance(2.9)
    assert queue.depth == 0
    clock.advance(0.1)
    assert await take_all(queue) == [A]
    clock.advance(10.0)
    assert queue.depth == 0


async def test_a_pass_voids_what_its_key_was_to_wake_for(
    queue: WorkQueue[Key], clock: VirtualClock
) -> None:
    queue.add_at(A, 5.0)
    queue.add(A)
    assert await take_all(queue) == [A]
    queue.add_at(A, 8.0)
    clock.advance(6.0)
    assert queue.depth == 0
    clock.advance(2.0)
    assert await take_all(queue) == [A]


async def test_many_keys_wake_each_at_its_own_time(
    queue: WorkQueue[Key], clock: VirtualClock
) -> None:
    queue.add_in(B, 2.0)
    queue.add_in(A, 1.0)
    queue.add_in(C, 3.0)
    woken = []
    for _ in range(4):
        clock.advance(1.0)
        woken.append(await take_all(queue))
    assert woken == [[], [A], [B], [C]]


async def test_news_that_come_in_a_burst_make_one_pass(
    queue: WorkQueue[Key], clock: VirtualClock
) -> None:
    queue.add_soon(A)
    clock.advance(BURST_SECONDS / 2)
    queue.add_soon(A)
    assert queue.depth == 0
    clock.advance(BURST_SECONDS / 2)
    assert await take_all(queue) == [A]
    clock.advance(1.0)
    assert queue.depth == 0


async def test_news_of_a_rollback_are_not_kept_waiting(queue: WorkQueue[Key]) -> None:
    queue.prefer(A, urgent=True)
    queue.add_soon(A)
    assert await take_all(queue) == [A]


async def test_each_failure_doubles_the_wait_of_its_own_key(
    queue: WorkQueue[Key], clock: VirtualClock
) -> None:
    bounds = [(0.5, 1.0), (1.0, 2.0), (2.0, 4.0), (4.0, 8.0), (4.0, 8.0)]
    for low, high in bounds:
        assert low <= queue.retry(A) <= high
        clock.advance(10.0)
        assert await take_all(queue) == [A]
    assert queue.retry(B) <= 1.0


async def test_a_failure_waits_as_long_as_was_asked_for(queue: WorkQueue[Key]) -> None:
    assert queue.retry(A, at_least=30.0) == 30.0


async def test_success_forgets_failures(queue: WorkQueue[Key]) -> None:
    for _ in range(5):
        queue.retry(A)
    queue.forget(A)
    assert queue.retry(A) <= 1.0


async def test_who_measures_hears_how_long_a_key_waited_since_the_first_news_of_it(
    clock: VirtualClock,
) -> None:
    waited: list[float] = []
    queue: WorkQueue[Key] = WorkQueue(clock, on_begin=waited.append)
    queue.add(A)
    clock.advance(2.0)
    queue.add(A)
    clock.advance(1.0)
    await queue.get()
    queue.add(A)  # while it is being worked on
    clock.advance(4.0)
    queue.done(A)
    await queue.get()
    assert waited == [3.0, 4.0]
