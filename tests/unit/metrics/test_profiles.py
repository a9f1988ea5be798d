"""What each server counts, and the profiles that users write themselves."""

import re
from math import inf
from pathlib import Path
from typing import Any

import pytest
from canarium.metrics.counters import Counters, Parser
from canarium.metrics.own_profiles import (
    MAX_PATTERN,
    MAX_PROFILES,
    MAX_TEXT,
    make_pattern,
    parse_profile,
    parse_profiles,
)
from canarium.queries.profiles import PROFILES, Profile
from hypothesis import given
from hypothesis import strategies as st

METRICS = Path(__file__).parent / "texts"


WANTED = {
    "MLServer": Counters(38, 4, ((0.025, 34), (0.05, 36), (inf, 36))),
    "KServe": Counters(
        0, 0, ((0.005, 30), (0.01, 36), (0.025, 38), (inf, 39)), counts_answers=False
    ),
    # What clients cancelled is an answer that was no error.
    "Triton": Counters(108, 7, ((0.1, 80), (0.5, 93), (2.0, 95), (5.0, 95), (inf, 95))),
    "TorchServe": Counters(64, 3, None, errors_beside=True),
    "TensorFlowServing": Counters(78, 3, ((1e-05, 1), (1.8e-05, 40), (3.24e-05, 59), (inf, 60))),
    "VLLM": Counters(52, 3, ((0.3, 4), (2.5, 44), (inf, 47))),
    "BentoML": Counters(56, 5, ((0.005, 20), (0.05, 48), (inf, 50))),
    "RayServe": Counters(77, 7, ((0.005, 37), (0.1, 76), (inf, 77))),
    "Prometheus": Counters(42, 2, ((0.1, 41), (inf, 42))),
}


def test_every_profile_has_a_servers_text_and_what_is_wanted_of_it() -> None:
    assert set(WANTED) == {path.stem for path in METRICS.iterdir()} == set(PROFILES)


@pytest.mark.parametrize("name", sorted(WANTED))
def test_of_a_servers_metrics_its_answers_to_inference_are_counted(name: str) -> None:
    text = (METRICS / f"{name}.txt").read_bytes()
    assert Parser(PROFILES[name]).parse(text) == WANTED[name]


def test_who_counts_no_errors_is_known() -> None:
    assert {name for name, profile in PROFILES.items() if not profile.counts_errors} == {"KServe"}


# Users' own

EVERYTHING: dict[str, Any] = {
    "requests": "my_requests_total",
    "failures": "my_failures_total",
    "counting": "Successes",
    "status": {"labels": ["outcome", "code"], "errors": ["5*", "timeout"]},
    "duration": {"histogram": "my_latency_ms", "unit": "Milliseconds"},
    "routes": {"labels": ["path"], "only": ["/v1/*"], "except": ["*/healthz"]},
    "methods": ["POST"],
    "labels": {"model": "fraud*"},
}


def test_a_profile_of_a_users_own_can_say_all_that_ours_can() -> None:
    assert parse_profile("mine", EVERYTHING) == Profile(
        requests="my_requests_total",
        failures="my_failures_total",
        counting="Successes",
        status_labels=("outcome", "code"),
        error_status=r"(?s:\A5.*\Z)|\Atimeout\Z",
        duration="my_latency_ms",
        unit="Milliseconds",
        route_labels=("path",),
        routes=r"(?s:\A/v1/.*\Z)",
        not_routes=r"(?s:\A.*/healthz\Z)",
        methods=("POST",),
        labels=(("model", r"(?s:\Afraud.*\Z)"),),
    )


def test_a_profile_of_a_users_own_counts() -> None:
    text = b"".join(
        line + b"\n"
        for line in [
            b'my_requests_total{model="fraud-7",path="/v1/x"} 90',
            b'my_requests_total{model="other",path="/v1/x"} 1000',
            b'my_requests_total{path="/v1/x"} 1000',
            b'my_requests_total{model="fraud-7",path="/v1/healthz"} 1000',
            b'my_failures_total{model="fraud-7",path="/v1/x",outcome="timeout"} 4',
            b'my_failures_total{model="fraud-7",path="/v1/x",outcome="cancelled"} 2',
            b'my_failures_total{model="fraud-7",path="/v1/x"} 1',
            b'my_latency_ms_bucket{model="fraud-7",path="/v1/x",le="300"} 80',
            b'my_latency_ms_bucket{model="fraud-7",path="/v1/x",le="+Inf"} 97',
        ]
    )
    parser = Parser(parse_profile("mine", EVERYTHING))
    assert parser.parse(text) == Counters(97, 5, ((0.3, 80), (inf, 97)))


def changed(**fields: Any) -> dict[str, Any]:
    return {key: value for key, value in {**EVERYTHING, **fields}.items() if value is not None}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "requests or duration: give at least one"),
        ({"request": "a"}, "request: no such field; there are requests, counting"),
        (changed(requests="no such"), "requests: has to be a metric's name"),
        (changed(requests=5), "requests: has to be a metric's name"),
        (changed(requests=None), "requests: needed beside failures and status"),
        (changed(failures=None), "failures: needed where requests counts Successes"),
        ({"requests": "a"}, "status.labels: needed to tell errors by, or else failures"),
        (changed(counting="Some"), "counting: has to be one of All, Successes"),
        (changed(status=[]), "status: has to be a mapping"),
        (changed(status={"label": ["a"]}), "status.label: no such field; there are labels, errors"),
        (changed(status={"labels": "code"}), "status.labels: has to be a list"),
        (changed(status={"labels": ["a-b"]}), "status.labels: has to be names of labels"),
        (
            changed(status={"labels": ["a"], "errors": [500]}),
            "status.errors: each has to be a text",
        ),
        (
            changed(status={"labels": ["a"], "errors": []}),
            "status.errors: has to have at least one",
        ),
        (changed(duration={"unit": "Seconds"}), "duration.histogram: name the histogram"),
        (changed(duration={"histogram": "x_bucket"}), "duration.histogram: write x"),
        (changed(duration={"histogram": "x", "unit": "s"}), "duration.unit: has to be one of Sec"),
        (changed(routes={"only": ["/"]}), "routes.labels: name the labels"),
        (changed(routes={"labels": ["a"], "only": ["x" * (MAX_PATTERN + 1)]}), "routes.only: each"),
        (
            changed(routes={"labels": ["a"], "except": ["a"] * 21}),
            "routes.except: has to be a list",
        ),
        (changed(methods="POST"), "methods: has to be a list"),
        (changed(labels={"a b": "x"}), "labels: has to be names of labels"),
        (changed(labels={"a": 1}), "labels.a: each has to be a text"),
        (changed(labels={1: "x"}), "labels: has to be a mapping"),
    ],
)
def test_a_field_of_no_use_is_named_with_its_cure(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011  # compared below
        parse_profile("mine", fields)
    assert message in str(caught.value)


def test_a_config_maps_profiles_are_read_one_by_one() -> None:
    profiles, problems = parse_profiles(
        {
            "yaml": "requests: a_total\nstatus: {labels: [code]}\n",
            "json": '{"duration": {"histogram": "b_seconds"}}',
            "MLServer": "requests: a",
            "no name": "requests: a",
            "text": "hello",
            "broken": "{",
            "deep": "[" * 9_000,
            "long": " " * (MAX_TEXT + 1),
            "evil": "!!python/object/apply:os.getcwd []",
        }
    )
    assert profiles == {
        "yaml": Profile(requests="a_total", duration=None, status_labels=("code",)),
        "json": Profile(requests=None, duration="b_seconds"),
    }
    told = [problem.partition(": ") for problem in problems]
    assert [(name, words[:30]) for name, _, words in told] == [
        ("profile MLServer", "is the name of a profile that "),
        ("profile broken", "is neither YAML nor JSON: whil"),
        ("profile deep", "is neither YAML nor JSON: maxi"),
        ("profile evil", "is neither YAML nor JSON: coul"),
        ("profile long", f"is longer than {MAX_TEXT} characters"[:30]),
        ("profile no name", "a name is up to 63 letters, di"),
        ("profile text", "a profile: has to be a mapping"),
    ]


def test_there_is_an_end_to_how_many_profiles_are_read() -> None:
    text = "duration: {histogram: a_seconds}"
    profiles, problems = parse_profiles({f"p{n}": text for n in range(MAX_PROFILES + 1)})
    assert (len(profiles), problems) == (50, ("51 profiles, of which the first 50 are read",))


@given(pattern=st.text("ab*(.\n", max_size=8), text=st.text("ab(.\n", max_size=8))
def test_a_star_stands_for_any_text_and_all_else_for_itself(pattern: str, text: str) -> None:
    with_going_back = ".*".join(re.escape(piece) for piece in pattern.split("*"))
    wanted = re.fullmatch(with_going_back, text, re.DOTALL)
    assert bool(re.search(make_pattern(pattern), text)) == bool(wanted)


@pytest.mark.timeout(20)
def test_no_pattern_of_a_user_keeps_the_parser_busy() -> None:
    profile = parse_profile("mine", changed(routes={"labels": ["path"], "only": ["*a" * 100]}))
    line = b'my_requests_total{model="fraud",path="%s%d"} 1\n'
    Parser(profile).parse(b"".join(line % (b"a" * 5_000, n) for n in range(1_000)))
