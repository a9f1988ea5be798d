"""Counters that outlive the operator, so that what was answered without one is counted, once."""

import json
from typing import Any

import pytest
from canarium.judge import Sample
from canarium.metrics.counters import Counters, Tracker
from canarium.metrics.kept_counters import MOST_NUMBERS, KeptCounters, dump_counters, load_counters
from hypothesis import given
from hypothesis import strategies as st

INF = float("inf")
THEN = Counters(100, 5, ((0.1, 60), (INF, 100)))
NOW = Counters(180, 45, ((0.1, 130), (INF, 180)))


def read(kept: KeptCounters, tracker: Tracker, now: Counters, identity: str = "a/0") -> Any:
    """One reading of one pod, as a meter makes it: whether it went on, and what was counted."""
    resumed = kept.take_up(tracker, [("pod", identity, now)])
    return resumed, tracker.compute_sample({"pod": now})


def test_what_was_answered_since_the_saved_reading_is_counted_once() -> None:
    kept, tracker = KeptCounters({"a/0": THEN}), Tracker()
    assert read(kept, tracker, NOW) == (True, Sample(80, 40, ((0.1, 70), (INF, 80))))
    tracker.forget_others([])  # it was not ready for a moment, and is looked at anew
    assert read(kept, tracker, NOW) == (False, None)


@pytest.mark.parametrize(
    ("identity", "now"),
    [
        ("a/1", NOW),  # restarted
        ("b/0", NOW),  # another pod
        ("a/0", Counters(99, 5, ((0.1, 60), (INF, 99)))),
        ("a/0", Counters(180, 4, ((0.1, 130), (INF, 180)))),
        ("a/0", Counters(180, 90, ((0.1, 130), (INF, 180)))),  # fewer good ones
        ("a/0", Counters(180, 45, ((0.1, 50), (INF, 180)))),
        ("a/0", Counters(180, 45, ((0.2, 130), (INF, 180)))),  # other bounds
        ("a/0", Counters(180, 45)),
        ("a/0", Counters(180, 45, THEN.latency, errors_beside=True)),
        ("a/0", Counters(0, 0, THEN.latency, counts_answers=False)),
    ],
)
def test_another_process_starts_with_a_baseline(identity: str, now: Counters) -> None:
    assert read(KeptCounters({"a/0": THEN}), Tracker(), now, identity) == (False, None)


def test_a_pod_that_cannot_be_read_yet_has_its_turn_later() -> None:
    kept, tracker = KeptCounters({"a/0": THEN}), Tracker()
    assert not kept.take_up(tracker, [("pod", "a/0", None)])
    assert read(kept, tracker, NOW)[1] == Sample(80, 40, ((0.1, 70), (INF, 80)))


def test_a_pod_that_is_counted_already_is_not_counted_from_further_back() -> None:
    tracker = Tracker()
    tracker.compute_sample({"pod": Counters(170, 45, ((0.1, 120), (INF, 170)))})
    assert read(KeptCounters({"a/0": THEN}), tracker, NOW) == (
        False,
        Sample(10, 0, ((0.1, 10), (INF, 10))),
    )


COUNTS = st.integers(0, 2**62)


@given(
    st.dictionaries(
        st.text(min_size=1, max_size=40),
        st.tuples(COUNTS, COUNTS, COUNTS, st.booleans(), st.booleans()),
        max_size=25,
    )
)
def test_what_was_written_is_read_again_as_it_was(drawn: dict[str, Any]) -> None:
    counters = {
        name: Counters(
            total,
            bad,
            ((0.1, fast), (INF, total)) if timed else None,
            errors_beside=beside,
        )
        for name, (total, bad, fast, beside, timed) in drawn.items()
    }
    text = json.dumps(dump_counters(counters))
    again = load_counters(json.loads(text))
    assert again.items() <= counters.items()
    kinds = {each.latency is None for each in counters.values()}
    if len(kinds) == 1:
        assert again == counters


def test_status_stays_small_whatever_pods_count() -> None:
    bounds = [*(float(number) for number in range(1, 100)), INF]
    one = Counters(10**9, 10**9, tuple((bound, 10**9) for bound in bounds))
    dumped = dump_counters({f"{number:036}/0": one for number in range(20)})
    assert len(dumped["pods"]) == MOST_NUMBERS // 103
    assert len(json.dumps(dumped)) < 10_000


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["pods", "bounds", "id", "requests", "x"]), inner, max_size=4
        )
    ),
)


@given(JSON)
def test_what_makes_no_sense_is_nothing(dumped: object) -> None:
    assert load_counters(dumped) == {} or isinstance(dumped, dict)


@pytest.mark.parametrize(
    "dumped",
    [
        None,
        {"pods": [{"id": "a", "requests": -1, "errors": 0}]},
        {"pods": [{"id": "a", "requests": 1, "errors": 0, "within": [1]}], "bounds": [1.0]},
        {
            "pods": [{"id": "a", "requests": 1, "errors": 0, "within": [1, 2, 3]}],
            "bounds": [2.0, 1.0],
        },
        {"pods": [{"id": "a", "requests": 2**63, "errors": 0}]},
    ],
)
def test_counters_that_cannot_be_are_nothing(dumped: object) -> None:
    assert load_counters(dumped) == {}
