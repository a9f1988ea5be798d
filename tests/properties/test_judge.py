"""What has to hold of every verdict, whatever is read: of counts, gauges, answers and restarts."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from canarium.judge import (
    Analysis,
    Counts,
    Metric,
    Reading,
    Sample,
    dump,
    is_proven,
    load,
    next_step,
    observe,
    observe_counts,
    observe_error,
    observe_gauge,
    rows,
    start,
    verdict,
)
from canarium.metrics.counters import Counters, Tracker
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.judge.judging import error_rate, gauge, ratio

WORST_FIRST = ["Fail", "NoData", "Inconclusive", "Pass"]
METRICS = [
    error_rate(max=0.1, max_increase=0.02),
    error_rate(max_ratio=1.5, source="Gateway"),
    ratio(max=0.1, max_increase=0.02),
    gauge(max=3.0, min=-3.0, failure_limit=1, consecutive_error_limit=2),
    gauge("drift", judge="RankSum"),
]
GAUGES = ("gpu-memory", "drift")


@dataclass(frozen=True)
class Event:
    """One thing that is read, by name; `worse` says how many more bad ones of the canary."""

    name: str
    stable: Counts
    canary: Counts
    values: tuple[float | None, float | None] = (None, None)
    share: float | None = None

    def worse(self, more: int) -> "Event":
        return replace(
            self, canary=Counts(min(self.canary.bad + more, self.canary.total), self.canary.total)
        )


@st.composite
def counts(draw: st.DrawFn) -> Counts:
    total = draw(st.integers(0, 60))
    bad = draw(st.integers(0, total))
    return Counts(draw(st.sampled_from([bad, bad // 10])), total)


VALUES = st.none() | st.floats() | st.floats(-4, 4)
EVENTS = st.lists(
    st.builds(
        Event,
        st.sampled_from(["Pods", "Gateway", "accuracy", "gpu-memory", "drift", "error", "step"]),
        counts(),
        counts(),
        st.tuples(VALUES, VALUES),
        st.none() | st.sampled_from([0.05, 0.5]),
    ),
    max_size=40,
)


def take(analysis: Analysis, event: Event) -> Analysis:
    takes: dict[str, Callable[[], Analysis]] = {
        "error": lambda: observe_error(analysis, "metric:gpu-memory", "refused"),
        "step": lambda: next_step(analysis),
        "accuracy": lambda: observe_counts(analysis, "accuracy", event.stable, event.canary),
    }
    if event.name in GAUGES:
        return observe_gauge(analysis, event.name, *event.values)
    if event.name in takes:
        return takes[event.name]()
    return observe(analysis, make_reading(event.stable, event.canary), event.name, event.share)


def make_reading(stable: Counts, canary: Counts) -> Reading:
    return Reading(1.0, Sample(stable.total, stable.bad), Sample(canary.total, canary.bad))


def begin(metrics: Sequence[Metric] = METRICS) -> Analysis:
    return start(metrics, decide="Early", traffic_share=True)


def take_all(analysis: Analysis, events: Sequence[Event]) -> Analysis:
    for event in events:
        analysis = take(analysis, event)
    return analysis


def restart(analysis: Analysis) -> Analysis:
    dumped = json.loads(json.dumps(dump(analysis)))
    return load(dumped, METRICS, decide="Early", traffic_share=True)


@given(events=EVENTS, worse=st.integers(0, 39), more=st.integers(1, 60))
def test_one_more_bad_answer_of_the_canary_never_makes_the_verdict_better(
    events: list[Event], worse: int, more: int
) -> None:
    spoiled = [
        event.worse(more) if number == worse else event for number, event in enumerate(events)
    ]
    before, after = take_all(begin(), events), take_all(begin(), spoiled)
    for good, bad in zip(rows(before), rows(after), strict=True):
        assert WORST_FIRST.index(bad.verdict) <= WORST_FIRST.index(good.verdict)
        if bad.verdict != "Fail" and good.e_value is not None and bad.e_value is not None:
            assert bad.e_value >= good.e_value * (1 - 1e-9)
            assert (bad.proof or 0.0) <= (good.proof or 0.0) * (1 + 1e-9)
    assert not (is_proven(after) and not is_proven(before))


@given(events=EVENTS, at=st.integers(0, 40))
def test_a_restart_never_makes_evidence(events: list[Event], at: int) -> None:
    halted = take_all(begin(), events[:at])
    whole, resumed = take_all(halted, events[at:]), take_all(restart(halted), events[at:])
    for before, after in zip(rows(whole), rows(resumed), strict=True):
        if before.verdict == after.verdict:
            assert (after.e_value or 0.0) <= (before.e_value or 0.0) * (1 + 1e-9)
            assert (after.proof or 0.0) <= (before.proof or 0.0) * (1 + 1e-9)
        assert (after.verdict, before.verdict) != ("Fail", "Pass")
    assert not (is_proven(resumed) and not is_proven(whole))


@given(events=EVENTS)
def test_what_is_saved_is_json_and_what_is_loaded_is_saved_alike(events: list[Event]) -> None:
    once = restart(take_all(begin(), events))
    assert restart(once) == once


NO_DATA = st.none() | st.sampled_from([float("nan"), float("inf"), float("-inf")])


@given(values=st.lists(st.tuples(NO_DATA, NO_DATA), max_size=30))
def test_no_data_never_passes_a_gauge(values: list[tuple[float | None, float | None]]) -> None:
    analysis = begin([gauge(max=1.0, min=-1.0), gauge("drift", judge="RankSum")])
    for name in GAUGES:
        for stable, canary in values:
            analysis = observe_gauge(analysis, name, stable, canary)
    found = [row.verdict for row in rows(analysis, hold_over=True) if row.metric != "traffic-share"]
    assert found == ["NoData"] * 3


@given(values=st.lists(st.tuples(VALUES, VALUES), max_size=30), bound=st.floats(-1e15, 1e15))
def test_any_numbers_give_a_verdict(
    values: list[tuple[float | None, float | None]], bound: float
) -> None:
    analysis = begin([gauge(max=bound), gauge("drift", judge="RankSum")])
    for name in GAUGES:
        for stable, canary in values:
            analysis = observe_gauge(analysis, name, stable, canary)
    assert verdict(analysis, hold_over=True) in WORST_FIRST


class Pods:
    """Pods whose counters only rise, as the source follows them."""

    def __init__(self, *names: str) -> None:
        self.answered = dict.fromkeys(names, Counts())
        self.tracker = Tracker()
        self.read(*[Counts()] * len(names))

    def read(self, *answered: Counts) -> Sample | None:
        for name, counts in zip(self.answered, answered, strict=True):
            self.answered[name] += counts
        return self.tracker.compute_sample(
            {name: Counters(each.total, each.bad) for name, each in self.answered.items()}
        )


@given(both=st.lists(st.tuples(counts(), counts(), counts()), min_size=1, max_size=20))
def test_answers_are_judged_alike_whatever_pods_gave_them(
    both: list[tuple[Counts, Counts, Counts]],
) -> None:
    stable_pods, one_pod, two_pods = Pods("stable"), Pods("canary"), Pods("z", "a")
    of_one = of_two = begin()
    for stable, first, second in both:
        of_stable = stable_pods.read(stable)
        whole, parts = one_pod.read(first + second), two_pods.read(first, second)
        of_one = observe(of_one, Reading(1.0, of_stable, whole), share=0.2)
        of_two = observe(of_two, Reading(1.0, of_stable, parts), share=0.2)
    assert rows(of_two) == rows(of_one)
