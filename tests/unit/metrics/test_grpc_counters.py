"""What servers count of gRPC calls: the texts of those that ran, and which codes are errors."""

from math import inf
from pathlib import Path

import pytest
from canarium.judge import Sample
from canarium.metrics.counters import Counters, Parser, Tracker
from canarium.queries.profiles import GRPC_PROFILES, PROFILES, find_profile

METRICS = Path(__file__).parent / "grpc_texts"

WANTED = {
    # Of a call that failed MLServer tells no code: the caller's faults are among the four.
    "MLServer": Counters(9, 4, ((0.005, 9), (0.1, 9), (1.0, 9), (10.0, 9), (inf, 9))),
    "RayServe": Counters(5, 2, ((0.01, 3), (inf, 4))),
    "Prometheus": Counters(50, 4, ((0.1, 45), (inf, 50))),
}


@pytest.mark.parametrize("name", sorted(WANTED))
def test_of_a_servers_metrics_its_calls_for_inference_are_counted(name: str) -> None:
    text = (METRICS / f"{name}.txt").read_bytes()
    assert Parser(GRPC_PROFILES[name]).parse(text) == WANTED[name]


def test_who_counts_calls_by_themselves_has_a_text() -> None:
    apart = {name for name, profile in GRPC_PROFILES.items() if profile != PROFILES[name]}
    # TorchServe's text for HTTP has all there is.
    assert {path.stem for path in METRICS.iterdir()} == set(WANTED) == apart - {"TorchServe"}


def test_no_call_by_grpc_is_counted_as_a_request_by_http() -> None:
    text = (METRICS / "MLServer.txt").read_bytes()
    assert Parser(PROFILES["MLServer"]).parse(text) == Counters(1, 0)


def test_who_cannot_tell_a_call_that_failed_is_known() -> None:
    told = {
        name: (profile.counts_errors, profile.duration is not None)
        for name in PROFILES
        if (profile := find_profile(name, "GRPC")) is not None
    }
    assert {name for name in PROFILES if name not in told} == {"VLLM", "BentoML"}
    assert {name for name, (errors, _) in told.items() if not errors} == {"KServe", "TorchServe"}
    assert {name for name, (_, durations) in told.items() if not durations} == {"TorchServe"}


@pytest.mark.parametrize(
    ("code", "fails"),
    [
        ("OK", False),
        ("CANCELLED", False),
        ("Canceled", False),
        ("UNKNOWN", True),
        ("Unknown", True),
        ("INVALID_ARGUMENT", False),
        ("DEADLINE_EXCEEDED", True),
        ("DeadlineExceeded", True),
        ("NOT_FOUND", False),
        ("RESOURCE_EXHAUSTED", False),
        ("FAILED_PRECONDITION", False),
        ("UNIMPLEMENTED", True),
        ("INTERNAL", True),
        ("UNAVAILABLE", True),
        ("DATA_LOSS", True),
        ("DataLoss", True),
        ("UNAUTHENTICATED", False),
    ],
)
@pytest.mark.parametrize("label", ["grpc_code", "code"])
def test_what_is_the_servers_fault_is_an_error(label: str, code: str, fails: bool) -> None:
    line = f'grpc_server_handled_total{{grpc_service="a.B",{label}="{code}"}} 3\n'
    found = Parser(GRPC_PROFILES["Prometheus"]).parse(line.encode())
    assert found == Counters(3, 3 if fails else 0)


def calls(ended: int, good: int, failed: int = 0) -> Counters:
    """MLServer's counters; a version that told a code would count a server's fault there, too."""
    labels = 'grpc_method="ModelInfer"'
    text = (
        f"grpc_server_handling_seconds_count{{{labels}}} {ended}\n"
        f'grpc_server_handled_total{{{labels},grpc_code="OK"}} {good}\n'
        f'grpc_server_handled_total{{{labels},grpc_code="INTERNAL"}} {failed}\n'
        f'grpc_server_handled_total{{grpc_method="ModelReady",grpc_code="OK"}} 900\n'
    )
    return Parser(GRPC_PROFILES["MLServer"]).parse(text.encode())


def test_calls_that_failed_are_those_that_ended_and_did_not_go_well() -> None:
    tracker = Tracker()
    tracker.compute_sample({"a": calls(100, 90)})
    assert tracker.compute_sample({"a": calls(120, 95)}) == Sample(20, 15)
    assert tracker.compute_sample({"a": calls(5, 4)}) == Sample(5, 1), "a new process"
    assert calls(10, 7, failed=3) == Counters(10, 3)


def test_more_that_went_well_than_ended_is_no_negative_error() -> None:
    assert calls(10, 11) == Counters(10, 0)
