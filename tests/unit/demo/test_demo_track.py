"""What the witness and the client wrote, as scenes."""

import json
from pathlib import Path

import pytest

from testbed.demo.feed import Lines
from testbed.demo.gateway_counters import Count, parse_counts, select
from testbed.demo.scene import Notice, Pulse, Row
from testbed.demo.track import Reading, Track
from tests.unit.demo.demo_builders import (
    MODEL,
    NAMESPACE,
    REVISIONS,
    make_answer,
    make_change,
    make_deployment,
    make_event,
    make_model,
    make_route,
    make_traffic,
)

BEGAN = 1000.0
CHILD = f"{MODEL}-{REVISIONS['v2']}"
SERVICE = f"{NAMESPACE}-{CHILD}-80@kubernetesgateway"


def make_track() -> Track:
    return Track(NAMESPACE, MODEL, began=BEGAN)


def test_a_row_shows_the_live_routes_weight_and_the_deployments_pods() -> None:
    track = make_track()
    for change in (
        make_model(1001, "Progressing", stable="v1", canary="v2"),
        make_route(1002, v1=80, v2=20),
        make_deployment(1003, "v1", ready=2, replicas=2),
        make_deployment(1003, "v2", ready=0, replicas=1),
    ):
        track.take_change(change)
    assert track.scene(1004).rows == (
        Row("stable", "v1", weight=80, ready=2, replicas=2),
        Row("canary", "v2", weight=20, ready=0, replicas=1),
    )


def test_what_is_deleted_is_forgotten_and_other_namespaces_are_never_seen() -> None:
    track = make_track()
    track.take_change(make_route(1001, v1=100))
    track.take_change(make_change(1002, "HTTPRoute", MODEL, change="DELETED"))
    track.take_change(make_change(1003, "ModelDeployment", MODEL, metadata={"namespace": "other"}))
    assert track.weights == {}
    assert track.find("ModelDeployment", MODEL) is None


def test_events_of_the_model_are_told_once_and_those_of_its_pods_never() -> None:
    track = make_track()
    shifted = make_event(1005, "WeightShifted", "20 % to v2")
    track.take_change(shifted)
    track.take_change(shifted)
    track.take_change(make_event(1006, "BackOff", "restarting", regarding={"kind": "Pod"}))
    track.take_change(make_event(1007, "ErrorRateTooHigh", "going back", type="Warning"))
    assert track.scene(1010).notices == (
        Notice(5.0, warning=False, reason="WeightShifted", note="20 % to v2"),
        Notice(7.0, warning=True, reason="ErrorRateTooHigh", note="going back"),
    )


def test_rates_and_errors_are_the_gateways_and_latencies_the_clients() -> None:
    track = make_track()
    track.take_change(make_model(1000, "Guarding", stable="v2"))
    for answer in make_traffic(1000, 1002, "v2", rate=20):
        track.take_answer(answer)
    track.take_reading(Reading(1000.0, {SERVICE: Count(100, 2)}))
    track.take_reading(Reading(1002.0, {SERVICE: Count(150, 7)}))
    (row,) = track.scene(1002).rows
    assert row.pulse == Pulse(rate=25.0, error_share=0.1, p50=0.020, p99=0.020)


def test_the_clients_pulse_forgets_what_is_long_past() -> None:
    track = make_track()
    for start in (1000.0, 1001.0):
        track.take_answer(make_answer(start))
    for answer in make_traffic(1012, 1020, "v1", rate=20):
        track.take_answer(answer)
    scene = track.scene(1020)
    assert scene.client == Pulse(rate=20.0, error_share=0.0, p50=0.020, p99=0.020)
    assert (scene.sent, scene.failed) == (162, 2)


def test_a_client_that_has_just_begun_is_not_slow() -> None:
    track = make_track()
    for answer in make_traffic(1012, 1014, "v1", rate=20):
        track.take_answer(answer)
    assert track.scene(1014).client.rate == 20.0


def test_too_few_answers_say_nothing_of_latency() -> None:
    track = make_track()
    for start in (1018.0, 1019.0):
        track.take_answer(make_answer(start, "v1"))
    assert track.scene(1020).client == Pulse(rate=1.0, error_share=0.0)


def test_a_request_that_never_left_is_not_counted() -> None:
    track = make_track()
    track.take_answer(
        make_answer(1001.0, "v1").__class__(number=1, planned=1001.0, error="NotSent")
    )
    assert track.scene(1002).sent == 0


def test_lines_are_read_once_and_only_when_whole(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    lines = Lines(log)
    assert list(lines.read()) == []
    with log.open("w") as file:
        file.write(json.dumps({"a": 1}) + "\n" + '{"b"')
        file.flush()
        assert list(lines.read()) == [{"a": 1}]
        file.write(": 2}\n")
    assert list(lines.read()) == [{"b": 2}]
    assert list(lines.read()) == []


METRICS = f"""\
# HELP traefik_service_requests_total How many requests processed on a service.
# TYPE traefik_service_requests_total counter
traefik_service_requests_total{{code="200",method="POST",protocol="http",service="{SERVICE}"}} 70
traefik_service_requests_total{{code="500",method="POST",protocol="http",service="{SERVICE}"}} 30
traefik_service_requests_total{{code="200",method="POST",protocol="http",service="demo-else-80"}} 9
"""


def test_the_gateways_counters_tell_errors_by_service() -> None:
    counts = parse_counts(METRICS)
    assert counts == {SERVICE: Count(100, 30), "demo-else-80": Count(9, 0)}
    assert select(counts, CHILD) == Count(100, 30)
    assert select(counts, "nobody") == Count(0, 0)


@pytest.mark.parametrize(
    ("later", "earlier", "between"),
    [
        (Count(10, 4), Count(6, 1), Count(4, 3)),
        (Count(3, 1), Count(6, 1), Count(3, 1)),
    ],
)
def test_a_counter_that_fell_began_anew(later: Count, earlier: Count, between: Count) -> None:
    assert later.since(earlier) == between
