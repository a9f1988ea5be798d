"""A measured split is compared with a weight only while the gateway surely stood at it."""

from tests.e2e.readings import Stand, find_stands
from tests.e2e.selftest.witnessed import MODEL, Log, canary, serving


def stands(log: Log) -> list[Stand]:
    return find_stands(log.changes, MODEL, settle_seconds=2.0)


def test_a_weight_stands_from_its_settling_to_the_next_write() -> None:
    log = canary().accept().wait(12).route(v1=50, v2=50)

    assert stands(log)[-1] == Stand(1062.0, 1072.0, {"v1": 80, "v2": 20})


def test_a_weight_that_was_never_accepted_stands_at_no_time() -> None:
    log = canary().wait(12).route(v1=50, v2=50)

    assert [stand.shares for stand in stands(log)] == [{"v1": 100}]


def test_the_last_weight_stands_to_the_end_of_the_log() -> None:
    assert stands(serving().ready("v1", 2)) == [Stand(1002.0, 1060.0, {"v1": 100})]
