"""From a metrics endpoint's text to counts since the last reading."""

from math import inf

import pytest
from canarium.judge import Sample
from canarium.metrics.counters import (
    MAX_SERIES,
    Counters,
    Parser,
    Tracker,
    UnreadableMetricsError,
    compute_increase,
)
from canarium.queries.profiles import PROFILES
from hypothesis import given
from hypothesis import strategies as st


def parse(text: bytes, profile: str = "Prometheus") -> Counters:
    return Parser(PROFILES[profile]).parse(text)


def test_a_server_that_has_not_answered_yet_counts_zero() -> None:
    text = b"# TYPE rest_server_requests_total counter\npython_info{major="
    assert parse(text + b'"3"} 1.0\n', "MLServer") == Counters(0, 0, None)


@pytest.mark.parametrize(
    "path",
    [
        "/v2/models/{model_name}/infer",
        "/v2/models/iris/infer",
        "/v2/models/iris/versions/7/infer",
        "/v2/models/health/infer",
        "/v2/models/llm/generate",
        "/v2/models/llm/generate_stream",
        "/v2/models/llm/infer_stream",
    ],
)
def test_mlservers_inference_routes_count(path: str) -> None:
    line = f'rest_server_requests_total{{method="POST",path="{path}",status_code="200"}} 5\n'
    assert parse(line.encode(), "MLServer") == Counters(requests=5)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ('code="200"', (3, 0)),
        ('code="500"', (3, 3)),
        ('status="503"', (3, 3)),
        ('status="5xx",handler="/predict"', (3, 3)),
        ('status_code="404"', (3, 0)),
        ('code="500",path="/healthz"', (0, 0)),
        ('code="500",handler="/metrics"', (0, 0)),
        ('code="500",route="/v2/health/ready"', (0, 0)),
        ('code="500",path="/v2/models/iris/ready"', (0, 0)),
        ('code="500",path="/-/ready"', (0, 0)),
        ('code="500",path="/readyness-of-a-model"', (3, 3)),
        (r'code="500",path="/a\"b\\c\nd"', (3, 3)),
        ('code="500",path="/a}b{c, d=\'"', None),
        ('code="500",path="/a} 9 #",', (3, 3)),
    ],
)
def test_a_plain_servers_answers_are_told_apart_by_their_labels(
    labels: str, expected: tuple[int, int] | None
) -> None:
    text = f"http_requests_total{{{labels}}} 3\n".encode()
    assert parse(text) == Counters(*(expected or (3, 3)))


@pytest.mark.parametrize(
    "line",
    [
        b'http_requests_total{code="500"} 3',
        b'http_requests_total{code="500"} 3\r',
        b'http_requests_total{code="500"} 3.0 1700000000000',
        b'http_requests_total{code="500"}3',
        b'http_requests_total{code="500"}\t3e0',
        b'http_requests_total{ code="500" , } 3',
        b'http_requests_total{code="500"} 3 # {trace_id="} 7 "} 0.67',
        b'http_requests_total{code = "500"\t,handler="/"} 3',
        b'http_requests_total {code="500"} 3',
        b'http_requests_total{code="500"} 3\t1700000000000',
        b'\t  http_requests_total{code="500"} 3',
    ],
)
def test_every_way_of_writing_a_sample_is_understood(line: bytes) -> None:
    assert parse(line) == Counters(3, 3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "an empty answer"),
        (b"\n \n", "an empty answer"),
        (b"<!DOCTYPE html><html><body>Hello</body></html>", "isn't metrics"),
        (b'{"status": "ok"}', "isn't metrics"),
        (bytes(range(256)) * 40, "isn't metrics"),
        (b'http_requests_total{code="200"} many', "a value that isn't a number"),
        (b'http_requests_total{code="200"} NaN', "isn't a count"),
        (b'http_requests_total{code="200"} +Inf', "isn't a count"),
        (b'http_requests_total{code="200"} -1', "isn't a count"),
        (b"http_requests_total 5", "has no label code or status"),
        (b'# x\nhttp_requests_total{code="200} 5', "isn't metrics"),
        (b'a 1\nb 1\nc 1\nd 1\ne 1\nhttp_requests_total{code="200} 5', "cannot be read"),
        (b'a 1\nb 1\nc 1\nd 1\ne 1\n{"http_requests_total",code="500"} 5', "cannot be read"),
        (b'http_request_duration_seconds_bucket{le="1"} 5', "without a bucket for infinity"),
        (b'http_request_duration_seconds_bucket{le="fast"} 5', "a bucket without a bound"),
        (b"http_request_duration_seconds_bucket 5", "a bucket without a bound"),
        (b'http_request_duration_seconds_bucket{le="NaN"} 5', "isn't a duration"),
        (
            b"\n".join(
                b'http_request_duration_seconds_bucket{le="%s"} %d' % bucket
                for bucket in ((b"1", 5), (b"+Inf", 4))
            ),
            "isn't cumulative",
        ),
        (b'http_requests_total{code="200"} 1\n' * (MAX_SERIES + 1), "series of one family"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_few_words(text: bytes, message: str) -> None:
    with pytest.raises(UnreadableMetricsError, match=message):
        parse(text)


def test_a_page_that_is_indented_is_read_as_if_it_were_not() -> None:
    text = b"""
        # TYPE http_requests_total counter
        up 1
        up 1
        up 1
        up 1
        http_requests_total{code="200"} 3
\thttp_requests_total{code="500"} 2
http_requests_total{code="503"} 1
"""
    assert parse(text) == Counters(6, 3)
    assert parse(b"  # TYPE http_requests_total counter\n  up 1\n") == Counters(0, 0)


def test_buckets_that_only_some_series_have_are_left_out() -> None:
    text = b"".join(
        b'http_request_duration_seconds_bucket{le="%s",handler="%s"} %d\n' % line
        for line in [
            (b"0.1", b"/a", 1),
            (b"0.2", b"/a", 2),
            (b"+Inf", b"/a", 3),
            (b"0.2", b"/b", 10),
            (b"0.3", b"/b", 11),
            (b"+Inf", b"/b", 12),
        ]
    )
    assert parse(text).latency == ((0.2, 12), (inf, 15))


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "hostile",
    [
        b"http_requests_total{" + b"a" * 5_000_000,
        b"http_requests_total" + b" " * 5_000_000,
        b"http_requests_total{" + b'a="' * 1_000_000,
        b"http_requests_total{" + b'a="",' * 800_000,
        b"http_requests_total{" + b'a="' + b"\\" * 5_000_001,
        b"\n" * 5_000_000,
    ],
    ids=["name", "spaces", "quotes", "labels", "escapes", "newlines"],
)
def test_text_made_to_keep_a_parser_busy_is_refused_in_linear_time(hostile: bytes) -> None:
    with pytest.raises(UnreadableMetricsError):
        parse(hostile)


@given(text=st.binary(max_size=300), labels=st.text(max_size=30))
def test_any_text_is_counted_or_refused(text: bytes, labels: str) -> None:
    for attempt in (text, b"http_requests_total{%s} 1\n" % labels.encode() + text):
        try:
            counted = parse(attempt)
        except UnreadableMetricsError:
            continue
        assert 0 <= counted.errors <= counted.requests


# Counters over time


@pytest.mark.parametrize(
    ("before", "now", "increase"),
    [
        (Counters(10, 1), Counters(15, 2), Sample(5, 1)),
        (Counters(10, 1), Counters(10, 1), Sample(0, 0)),
        (Counters(), Counters(4, 0, ((1.0, 3), (inf, 4))), Sample(4, 0, ((1.0, 3), (inf, 4)))),
        (
            Counters(4, 0, ((1.0, 3), (inf, 4))),
            Counters(9, 0, ((1.0, 7), (inf, 9))),
            Sample(5, 0, ((1.0, 4), (inf, 5))),
        ),
        # A process that started anew, seen in whichever count has fallen.
        (Counters(10, 1), Counters(3, 1), Sample(3, 1)),
        (Counters(10, 5), Counters(12, 2), Sample(12, 2)),
        (Counters(10, 1), Counters(11, 5), Sample(11, 5)),
        (
            Counters(4, 0, ((1.0, 4), (inf, 4))),
            Counters(5, 0, ((1.0, 1), (inf, 5))),
            Sample(5, 0, ((1.0, 1), (inf, 5))),
        ),
        (Counters(4, 0, ((1.0, 4), (inf, 4))), Counters(5, 0), Sample(5, 0)),
        # Other buckets than before: only what both have can be told.
        (
            Counters(4, 0, ((1.0, 3), (inf, 4))),
            Counters(6, 0, ((2.0, 5), (inf, 6))),
            Sample(2, 0, ((inf, 2),)),
        ),
    ],
)
def test_an_increase_is_what_was_answered_in_between(
    before: Counters, now: Counters, increase: Sample
) -> None:
    assert compute_increase(before, now) == increase


def test_the_first_counters_of_a_pod_are_its_baseline() -> None:
    tracker = Tracker()
    assert tracker.compute_sample({"a": Counters(1000, 10)}) is None
    assert tracker.compute_sample({"a": Counters(1004, 11)}) == Sample(4, 1)


def test_a_pod_that_comes_later_tells_nothing_at_first() -> None:
    tracker = Tracker()
    tracker.compute_sample({"a": Counters(10)})
    assert tracker.compute_sample({"a": Counters(12), "b": Counters(700)}) == Sample(2, 0)
    assert tracker.compute_sample({"a": Counters(13), "b": Counters(705)}) == Sample(6, 0)


def test_a_pod_that_could_not_be_read_once_loses_nothing() -> None:
    tracker = Tracker()
    tracker.compute_sample({"a": Counters(10)})
    assert tracker.compute_sample({}) is None
    assert tracker.compute_sample({"a": Counters(15, 2)}) == Sample(5, 2)


def test_a_pod_that_left_starts_with_a_baseline_when_it_comes_back() -> None:
    tracker = Tracker()
    tracker.compute_sample({"a": Counters(10)})
    tracker.forget_others(["b"])
    assert tracker.compute_sample({"a": Counters(500)}) is None


def beside(requests: int, errors: int) -> Counters:
    """A pod whose errors have a counter of their own."""
    return Counters(requests, errors, errors_beside=True)


@pytest.mark.parametrize(
    ("readings", "told"),
    [
        ([(10, 1), (15, 2)], [(5, 1)]),
        # A failure that is counted after its request waits for requests to be told with.
        ([(0, 0), (4, 0), (4, 2), (5, 2), (9, 2)], [(4, 0), (0, 0), (1, 1), (4, 1)]),
        # Those of probes have no requests to be told with.
        ([(0, 0), (0, 50), (3, 50), (9, 50)], [(0, 0), (3, 0), (6, 0)]),
        ([(0, 0), (2, 0), (2, 50), (9, 50)], [(2, 0), (0, 0), (7, 2)]),
        # A process that started anew, seen in either.
        ([(50, 5), (3, 1)], [(3, 1)]),
        ([(50, 5), (60, 1)], [(60, 1)]),
    ],
)
def test_errors_counted_beside_requests_never_exceed_them(
    readings: list[tuple[int, int]], told: list[tuple[int, int]]
) -> None:
    tracker = Tracker()
    tracker.compute_sample({"a": beside(*readings[0])})
    found = [tracker.compute_sample({"a": beside(*reading)}) for reading in readings[1:]]
    assert found == [Sample(*counts) for counts in told]


def test_durations_are_told_beside_errors_too() -> None:
    tracker = Tracker()
    for fast, total in ((1, 4), (3, 9)):
        buckets = ((1.0, fast), (inf, total))
        sample = tracker.compute_sample({"a": Counters(total, 0, buckets, errors_beside=True)})
    assert sample == Sample(5, 0, ((1.0, 2), (inf, 5)))


counters = st.builds(
    lambda good, errors, fast: Counters(
        good + errors, errors, ((0.1, min(fast, good)), (inf, good + errors))
    ),
    *[st.integers(0, 1000)] * 3,
)


@given(readings=st.lists(st.tuples(counters, counters), min_size=2, max_size=9))
def test_names_of_pods_and_their_order_change_nothing(
    readings: list[tuple[Counters, Counters]],
) -> None:
    one, other = Tracker(), Tracker()
    for first, second in readings:
        expected = one.compute_sample({"a": first, "b": second})
        assert other.compute_sample({"x": second, "y": first}) == expected


@given(increases=st.lists(counters, min_size=1, max_size=9))
def test_splitting_a_pods_counts_over_two_changes_nothing(increases: list[Counters]) -> None:
    whole, split = Tracker(), Tracker()
    total, halves = Counters(), [Counters(), Counters()]
    for number, each in enumerate([Counters(), *increases]):
        total = _grow(total, each)
        halves = [
            _grow(half, each if side == number % 2 else Counters())
            for side, half in enumerate(halves)
        ]
        one = whole.compute_sample({"a": total})
        two = split.compute_sample({"a": halves[0], "b": halves[1]})
        assert _counts(one) == _counts(two)


def _grow(before: Counters, by: Counters) -> Counters:
    old, new = dict(before.latency or ()), dict(by.latency or ())
    grown = tuple((bound, old.get(bound, 0) + new.get(bound, 0)) for bound in (0.1, inf))
    return Counters(before.requests + by.requests, before.errors + by.errors, grown)


def _counts(sample: Sample | None) -> object:
    return sample and (sample.requests, sample.errors, sample.latency)
