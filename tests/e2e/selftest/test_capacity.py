"""Capacity is read from the witness's log: a dip is seen, and only where there is one."""

import pytest

from testbed.witness.capacity import (
    Dip,
    find_dips,
    find_fewest_ready,
    find_looks,
    find_size_at,
    find_sizes,
)
from tests.e2e.selftest.witnessed import MODEL, Log, canary, serving


def dips(log: Log, carried: float, begin: float = 1060.0) -> list[Dip]:
    """With 20 requests a second all the time."""
    looks = find_looks(log.changes, MODEL)
    return find_dips(looks, lambda _: 20.0, carried, begin, log.now + 1)


def test_pods_that_carry_the_load_are_no_dip() -> None:
    assert dips(canary(), carried=10.0) == []


def test_a_revision_with_too_few_for_its_share_is_a_dip_whatever_the_other_has() -> None:
    log = canary().route(v1=20, v2=80)

    assert dips(log, carried=10.0) == [Dip(1060.0, "v2", 1, 1.6)]


def test_a_pod_that_is_lost_is_a_dip_from_then_on() -> None:
    log = serving().ready("v1", 1).wait(5).ready("v1", 2)

    assert dips(log, carried=10.0) == [Dip(1060.0, "v1", 1, 2.0)]


def test_what_held_when_the_load_began_counts_too() -> None:
    log = serving().ready("v1", 1).wait(100)

    assert dips(log, carried=10.0, begin=1150.0) == [Dip(1060.0, "v1", 1, 2.0)]


def test_what_was_mended_before_the_load_began_does_not() -> None:
    log = serving().ready("v1", 1).wait(5).ready("v1", 2)

    assert dips(log, carried=10.0, begin=1065.5) == []


def test_sizes_are_those_of_the_deployment_one_after_the_other() -> None:
    log = serving().scale("v1", 5).wait(9).scale("v1", 3)

    looks = find_looks(log.changes, MODEL)

    assert find_sizes(looks, "v1") == [(1000.0, 2), (1060.0, 5), (1069.0, 3)]


@pytest.mark.parametrize(("time", "size"), [(999.0, 0), (1059.0, 2), (1060.0, 5), (1070.0, 5)])
def test_a_size_holds_until_the_next(time: float, size: int) -> None:
    looks = find_looks(serving().scale("v1", 5).changes, MODEL)

    assert find_size_at(looks, "v1", time) == size


def test_the_fewest_ready_pods_are_those_of_all_revisions_within_the_times() -> None:
    log = serving().revision("v2").ready_pods("v1", 2).ready_pods("v2", 2)
    begin = len(log.changes)
    lost = log.wait(5).pod_lost("v1", 0).pod_lost("v2", 1)
    end = len(lost.changes)
    lost.wait(5).ready_pods("v1", 2)

    assert find_fewest_ready(lost.changes, MODEL, begin, end) == 2
    assert find_fewest_ready(lost.changes, MODEL, end + 1, end + 2) == 3
    assert find_fewest_ready(lost.changes, MODEL, begin, begin) == 4
