"""A measured split is compared with a weight only while the gateway surely stood at it."""

from dataclasses import replace

import pytest

from testbed.load.traffic import Answer, Report
from testbed.witness.readings import (
    Stand,
    find_full_weight,
    find_scale_down,
    find_stands,
    find_worst_split,
    said_of_ready,
)
from tests.e2e.selftest.witnessed import MODEL, Log, canary, late, noted, promoted, serving


def stands(log: Log) -> list[Stand]:
    return find_stands(log.changes, MODEL, settle_seconds=2.0)


def test_a_weight_stands_from_its_settling_to_the_next_write() -> None:
    log = canary().accept().wait(12).route(v1=50, v2=50)

    assert stands(log)[-1] == Stand(1062.0, 1072.0, {"v1": 80, "v2": 20}, 1062.0, 1072.0)


def test_a_weight_that_was_never_accepted_stands_at_no_time() -> None:
    log = canary().wait(12).route(v1=50, v2=50)

    assert [stand.shares for stand in stands(log)] == [{"v1": 100}]


def test_the_last_weight_stands_to_the_end_of_the_log() -> None:
    assert stands(serving().ready("v1", 2)) == [Stand(1002.0, 1060.0, {"v1": 100}, 1002.0, 1060.0)]


def test_the_last_weight_stands_on_though_the_last_to_go_was_written_long_before() -> None:
    log = serving().wait(30).scale("v1", 1).wait(9).deployment_deleted("v1")
    log.changes[-1] = noted(log.changes[-1], 1000.0, 1099.0)

    assert stands(log) == [Stand(1002.0, 1090.0, {"v1": 100}, 1002.0, 1099.0)]


def test_a_witness_that_saw_the_acceptance_late_makes_no_hold_shorter() -> None:
    stand = stands(late(canary().accept(), 5).wait(3).route(v1=50, v2=50))[-1]

    assert (stand.begin, stand.end, stand.seconds) == (1067.0, 1068.0, 6.0)


def test_pods_went_after_a_guard_of_which_the_witness_saw_the_beginning_late() -> None:
    log = late(promoted().accept(), 5).wait(5).scale("v1", 0)

    assert find_scale_down(log.changes, "v1") - find_full_weight(log.changes, "v2") == 8.0


def answers(begin: float, *versions: str) -> Report:
    """Twenty good ones a second."""
    found = (
        Answer(n, at, at, 0.01, 200, "", v)
        for n, v in enumerate(versions)
        for at in (begin + n / 20,)
    )
    return Report(len(versions), tuple(found))


FIFTH = ("v2", "v1", "v1", "v1", "v1")


@pytest.mark.parametrize(
    ("given", "off"),
    [
        pytest.param(FIFTH * 40, 0.0, id="as weighted"),
        pytest.param(("v1",) * 80 + FIFTH * 24, 0.0, id="loaded 4 s late"),
        pytest.param(("v1",) * 200, 20.0, id="never loaded"),
        pytest.param(("v2", "v1") * 100, 30.0, id="another share"),
    ],
)
def test_a_share_is_measured_once_the_gateway_has_loaded_it(
    given: tuple[str, ...], off: float
) -> None:
    log = canary().accept().wait(12.5).route(v1=50, v2=50)

    assert find_worst_split(log.changes, answers(1062.0, *given), "v2", "v2") == off


def test_a_weight_of_too_few_answers_measures_nothing() -> None:
    log = canary().accept().wait(12.5).route(v1=50, v2=50)

    with pytest.raises(AssertionError, match="no weight stood for 100 answers"):
        find_worst_split(log.changes, answers(1062.0, *FIFTH * 19), "v2", "v2")


def ready(log: Log, status: str) -> Log:
    """A status that says so."""
    log.model()
    condition = {"type": "Ready", "status": status, "reason": "R", "message": "m"}
    log.changes[-1] = replace(
        log.changes[-1], object={**log.changes[-1].object, "status": {"conditions": [condition]}}
    )
    return log


def test_what_was_said_before_ready_was_true_for_the_first_time_does_not_count() -> None:
    log = ready(ready(serving(), "False"), "True").wait(1)

    assert said_of_ready(log.changes, 0.0) == {"True"}
    assert said_of_ready(ready(log, "False").changes, 0.0) == {"True", "False, R: m"}
    assert said_of_ready(ready(log.wait(1), "True").changes, log.now) == {"True"}
