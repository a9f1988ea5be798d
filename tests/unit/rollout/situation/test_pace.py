"""A spec that is edited again and again: how many revisions that makes, and which is the last."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from canarium.rollout.situation.pace import MOST_BEGUN, PACE_SECONDS, WAITING

from tests.properties.world import World, make_rollout, make_spec, serving


def edit(world: World, *versions: int, seconds: float = 1.0, history: int = 10) -> None:
    """Edit the spec so often, and let the operator work between two edits."""
    for version in versions:
        terms = make_rollout(20, hold=60.0, history=history)
        world.apply(make_spec(str(version), rollout=terms))
        world.run(seconds)


def list_created(world: World, *versions: int, seconds: float, history: int) -> list[float]:
    """When a ModelRevision was created, while the spec is edited so often."""
    created: dict[str, float] = {}
    for version in versions:
        edit(world, version, seconds=seconds, history=history)
        found = (record.meta for record in world.revisions.values())
        created |= {meta.uid: meta.created_at for meta in found}
    return sorted(created.values())


def wait(world: World) -> None:
    """Let the operator rest until it wants to look again, as long as a revision waits."""
    while world.status.reason == WAITING:
        assert world.last_plan.wake_at is not None
        world.run(max(1.0, world.last_plan.wake_at - world.now))


def exhausted(history: int = 10) -> World:
    """A world whose budget is used up, while version 13 is tried beside version 1."""
    world = serving()
    world.run(PACE_SECONDS)
    edit(world, *range(2, 2 + MOST_BEGUN), seconds=4.0, history=history)
    assert world.canary == str(1 + MOST_BEGUN)
    return world


def test_ten_quick_edits_are_all_begun_at_once() -> None:
    world = serving()
    edit(world, *range(2, 12), seconds=5.0)
    assert WAITING not in world.events
    assert world.canary == "11"


def test_edits_over_the_budget_wait_and_the_last_one_is_begun() -> None:
    world = serving()
    edit(world, *range(2, 50))
    assert len(world.status.begun_at) == MOST_BEGUN
    assert "49" not in {each.version for each in world.revisions.values()}
    assert (world.canary, world.status.phase, world.status.reason) == ("", "Progressing", WAITING)
    assert world.routed() == {world.revision("1"): 100}
    assert world.events.count(WAITING) == 1
    wait(world)
    world.run(2.0)
    assert world.canary == "49"


def test_status_says_what_waits_until_when_and_what_to_do() -> None:
    world = exhausted()
    edit(world, 99, seconds=4.0)
    first = datetime.fromtimestamp(world.status.begun_at[0], UTC) + timedelta(seconds=PACE_SECONDS)
    until = f"{first:%Y-%m-%dT%H:%M:%S.}{first.microsecond // 1000:03}Z"
    assert world.status.message == (
        f"version 99 waits until {until}, since 12 new revisions were begun within 1 min, which is"
        " the most: a later edit takes its place, so put edits that belong together into one; going"
        " back to a version of the history doesn't wait"
    )
    assert world.condition("Ready") == ("True", "Serving")
    assert world.condition("Reconciling") == ("True", WAITING)
    assert world.condition("Stalled")[0] == "False"


EVER_NEW = tuple(range(2, 52))
THE_SAME_FEW = tuple(2 + number % 4 for number in range(50))
"Which no history keeps, so that each time they are made anew."


@pytest.mark.parametrize(
    ("versions", "history"), [(EVER_NEW, 10), (EVER_NEW, 0), (THE_SAME_FEW, 0)]
)
def test_however_long_it_goes_on_so_many_are_begun_in_a_minute(
    versions: tuple[int, ...], history: int
) -> None:
    world = serving()
    times = list_created(world, *versions, seconds=2.5, history=history)
    assert len(times) > 2 * MOST_BEGUN
    gaps = [late - early for early, late in zip(times, times[MOST_BEGUN:], strict=False)]
    assert min(gaps) >= PACE_SECONDS
    assert list(world.status.begun_at) == times[-MOST_BEGUN:], "no more of them are kept"


def test_a_restart_begins_no_more() -> None:
    """All that is counted by stands in status."""
    world = exhausted()
    world.take_over(0.0)
    edit(world, 99, seconds=4.0)
    assert (world.canary, world.status.reason) == ("", WAITING)


@pytest.mark.parametrize("writes", range(5))
def test_a_revision_is_counted_once_wherever_the_operator_is_killed(writes: int) -> None:
    world = serving()
    terms = make_rollout(20, hold=60.0)
    world.apply(make_spec("2", rollout=terms))
    world.crash_after = writes
    world.step()
    world.crash_after = None
    world.run(5.0)
    assert world.canary == "2"
    assert len(world.status.begun_at) == 2


def test_the_way_back_to_stable_does_not_wait() -> None:
    world = exhausted()
    edit(world, 1)
    world.run_until("Idle", most=10.0)
    assert (world.canary, world.routed()) == ("", {world.revision("1"): 100})
    assert WAITING not in world.events


def test_a_bad_canary_is_taken_back_at_once_while_the_next_one_waits() -> None:
    world = exhausted()
    world.crashing.add(str(1 + MOST_BEGUN))
    world.run_until("Rejected", most=10.0)
    edit(world, 99, seconds=2.0)
    assert (world.canary, world.status.reason) == ("", WAITING)
    assert world.routed() == {world.revision("1"): 100}


def test_a_persons_abort_and_rollback_do_not_wait() -> None:
    world = exhausted()
    world.command("abort", str(1 + MOST_BEGUN))
    world.run_until("Rejected", most=10.0)
    world.command("rollback", "5")
    world.run(2.0)
    assert world.canary == "5"
    assert WAITING not in world.events


def test_a_retry_does_not_wait() -> None:
    world, last = exhausted(), str(1 + MOST_BEGUN)
    world.command("abort", last)
    world.run_until("Rejected", most=10.0)
    world.run(2.0)
    world.command("retry", last)
    world.run(2.0)
    assert world.canary == last
    assert WAITING not in world.events


def test_a_persons_rollback_gets_through_while_a_revision_waits() -> None:
    world = exhausted()
    edit(world, 99, seconds=4.0)
    assert world.status.reason == WAITING
    world.command("rollback", "5")
    world.run(2.0)
    assert world.canary == "5"


def test_what_the_history_knows_is_tried_again_at_once() -> None:
    world = exhausted()
    edit(world, 7, seconds=4.0)
    assert world.canary == "7"


def test_what_was_refused_is_not_said_to_wait() -> None:
    """Though no history keeps it: it isn't begun later, either."""
    world = exhausted(history=0)
    last = 1 + MOST_BEGUN
    world.command("abort", str(last))
    world.run_until("Rejected", most=10.0)
    edit(world, 1, last, history=0)
    assert (world.status.phase, world.status.reason) == ("RolledBack", "Aborted")


@pytest.mark.parametrize("jump", [-86400.0, -30.0, 90.0, 3600.0])
def test_a_clock_that_jumps_keeps_nothing_waiting_for_more_than_a_minute(jump: float) -> None:
    world = exhausted()
    world.take_over(jump)
    edit(world, 99)
    waited = world.now
    while world.canary != "99":
        assert world.now < waited + PACE_SECONDS
        world.run(1.0)
    assert all(at <= world.clock for at in world.status.begun_at)


def test_a_first_revision_that_is_edited_in_a_loop_waits_too() -> None:
    world = World(make_spec("1"))
    world.unready |= {str(version) for version in range(100)}
    edit(world, *range(1, 40))
    assert world.state == "Starting"
    assert len(world.status.begun_at) == MOST_BEGUN
    assert (world.status.phase, world.status.reason) == ("Pending", WAITING)
    world.unready.clear()
    wait(world)
    world.run(20.0)
    assert (world.stable, world.canary) == ("12", "39")


def test_the_cure_of_a_first_revision_that_broke_is_said_to_wait_and_is_begun() -> None:
    world = World(make_spec("1"))
    world.crashing |= {str(version) for version in range(50)}
    edit(world, *range(1, 50))
    assert (world.status.phase, world.status.reason) == ("Failed", "CrashLoopBackOff")
    assert "; version 49 waits until " in world.status.message
    edit(world, 50)
    world.run(PACE_SECONDS)
    assert (world.stable, world.state) == ("50", "Idle")


def test_the_cure_of_a_stable_that_died_is_begun_within_the_minute() -> None:
    world = exhausted()
    world.unready.add("1")
    world.lose_pods("1")
    edit(world, 99, seconds=PACE_SECONDS)
    assert world.canary == "99" or world.stable == "99"


def test_a_status_of_an_earlier_operator_that_counted_nothing_goes_on() -> None:
    world = serving()
    edit(world, 2)
    world.status_raw = {key: value for key, value in world.status_raw.items() if key != "begunAt"}
    before = world.status_raw
    world.settle()
    assert world.status_raw == before, "it costs no write"
    edit(world, *range(3, 40))
    assert len(world.status.begun_at) == MOST_BEGUN
    wait(world)
    world.run(2.0)
    assert world.canary == "39"
