"""A family that isn't there is no data, by name: neither zero errors nor silence."""

from pathlib import Path

import pytest
from canarium.judge import Sample
from canarium.metrics.counters import Counters, Parser, Tracker
from canarium.metrics.own_profiles import parse_profile
from canarium.metrics.sources.pods import Missing, list_missing
from canarium.queries.profiles import PROFILES, Profile

METRICS = Path(__file__).parent / "texts"
# As TorchServe 0.12.0 writes it with metrics_mode legacy.
LEGACY = b"""# HELP ts_inference_requests_total Torchserve prometheus counter metric
# TYPE ts_inference_requests_total counter
ts_inference_requests_total{model_name="m",model_version="default",hostname="h",} %d
"""
MISSPELT = {"requests": "asked_total", "failures": "faild_total"}
"Of a server that has failed_total."


def read(text: bytes, profile: Profile | str = "Prometheus") -> Counters:
    found = PROFILES[profile] if isinstance(profile, str) else profile
    return Parser(found).parse(text)


def names(text: bytes, profile: Profile | str = "Prometheus") -> tuple[bool, tuple[str, ...], str]:
    found = read(text, profile)
    return found.counts_answers, found.missing, found.missing_duration


def without(text: bytes, family: str) -> bytes:
    """A server's text without any line about a family."""
    return b"\n".join(line for line in text.split(b"\n") if family.encode() not in line)


def test_a_counter_that_is_announced_and_has_no_series_is_zero() -> None:
    """prometheus_client writes the first series of a counter with labels with its first event."""
    text = b"# HELP http_requests_total Requests.\n# TYPE http_requests_total counter\nup 1\n"
    assert names(text) == (True, (), "http_request_duration_seconds")
    by_openmetrics = (
        b"# TYPE http_requests counter\n# TYPE http_request_duration_seconds histogram\n"
    )
    assert names(by_openmetrics) == (True, (), "")


@pytest.mark.parametrize(
    "text",
    [
        b"up 1\n",
        b"# TYPE http_requests_total_created gauge\nup 1\n",
        b"# TYPE my_http_requests_total counter\nmy_http_requests_total 5\n",
        b"# a comment on http_requests_total \nup 1\n",
        b'flask_http_request_total{status="200"} 36\n',
    ],
)
def test_a_counter_that_is_not_there_is_no_zero(text: bytes) -> None:
    assert names(text)[:2] == (False, ("http_requests_total",))


@pytest.mark.parametrize("name", sorted(PROFILES))
def test_of_every_servers_own_text_nothing_is_missing_until_it_is_left_out(name: str) -> None:
    text, profile = (METRICS / f"{name}.txt").read_bytes(), PROFILES[name]
    assert names(text, name) == (profile.counts_errors, (), "")
    for family in filter(None, (profile.requests, profile.failures)):
        assert names(without(text, family), name) == (False, (family,), "")
    if profile.duration:
        assert names(without(text, profile.duration), name)[2] == profile.duration


def test_a_counter_of_another_name_is_not_announced_by_its_own() -> None:
    """Ray Serve before 2.10 had no `_total`; OpenMetrics announces a counter without it."""
    old = b"# TYPE ray_serve_num_http_requests counter\n"
    assert read(old + b'ray_serve_num_http_requests{route="/"} 5\n', "RayServe").missing == (
        "ray_serve_num_http_requests_total",
    )


def test_a_torchserve_in_legacy_mode_counts_no_errors_rather_than_none() -> None:
    tracker = Tracker()
    tracker.compute_sample({"a": read(LEGACY % 60, "TorchServe")})
    assert tracker.compute_sample({"a": read(LEGACY % 90, "TorchServe")}) == Sample(None, None)
    assert names(LEGACY % 90, "TorchServe") == (False, ("Requests5XX",), "")


def test_a_profile_of_ones_own_with_a_misspelt_counter_of_failures_counts_no_errors() -> None:
    text = b"asked_total 100\nfailed_total 50\n"
    profile = parse_profile("mine", MISSPELT)
    assert names(text, profile) == (False, ("faild_total",), "")
    assert read(text, parse_profile("mine", {**MISSPELT, "failures": "failed_total"})) == (
        Counters(100, 50, errors_beside=True)
    )


def test_a_counter_that_is_born_with_its_first_event_is_counted_from_there() -> None:
    """As Go's client does: nothing of it is written before."""
    tracker = Tracker()
    asked = 'http_requests_total{{code="200"}} {}\n'
    tracker.compute_sample({"a": read(b"go_goroutines 9\n")})
    assert tracker.compute_sample({"a": read(b"go_goroutines 9\n")}) == Sample(None, None)
    assert tracker.compute_sample({"a": read(asked.format(7).encode())}) == Sample(7, 0)
    assert tracker.compute_sample({"a": read(asked.format(9).encode())}) == Sample(2, 0)
    assert tracker.compute_sample({"a": read(b"go_goroutines 9\n")}) == Sample(None, None)
    assert tracker.compute_sample({"a": read(asked.format(3).encode())}) == Sample(3, 0)


def test_a_pod_that_counts_nothing_is_left_out_of_the_sum() -> None:
    tracker = Tracker()
    known = 'http_requests_total{{code="500"}} {}\n'
    tracker.compute_sample({"a": read(b"up 1\n"), "b": read(known.format(5).encode())})
    sample = tracker.compute_sample({"a": read(b"up 1\n"), "b": read(known.format(8).encode())})
    assert sample == Sample(3, 3)


def test_what_no_pod_of_a_revision_has_is_told_once() -> None:
    lacking, counting = read(b"up 1\n"), read(b'http_requests_total{code="200"} 3\n')
    duration = Missing("new", "Prometheus", "http_request_duration_seconds", "Durations")
    assert list_missing("new", "Prometheus", [lacking, lacking]) == (
        Missing("new", "Prometheus", "http_requests_total", "Answers"),
        duration,
    )
    assert list_missing("new", "Prometheus", [lacking, counting]) == (duration,)
    assert list_missing("new", "Prometheus", []) == ()
