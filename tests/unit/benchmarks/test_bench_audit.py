"""The audit log's lines as requests, and requests as counts."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from benchmarks.rollouts.audit import (
    Request,
    Tail,
    Tally,
    find_last_write,
    parse_line,
    tally,
)

NOON = 1767268800.0
"2026-01-01T12:00:00Z"


def make_line(**changes: Any) -> bytes:
    entry = {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": "Metadata",
        "auditID": "6f1c",
        "stage": "ResponseComplete",
        "requestURI": "/apis/apps/v1/namespaces/bench/deployments/x?fieldManager=canarium",
        "verb": "patch",
        "user": {"username": "admin", "groups": ["system:masters"]},
        "userAgent": "canarium/0.1.0",
        "objectRef": {"resource": "deployments", "namespace": "bench", "name": "x"},
        "responseStatus": {"metadata": {}, "code": 200},
        "requestReceivedTimestamp": "2026-01-01T12:00:00.250000Z",
        "stageTimestamp": "2026-01-01T12:00:00.260000Z",
    }
    return json.dumps(entry | changes).encode() + b"\n"


def make_request(verb: str = "patch", resource: str = "deployments", **changes: Any) -> Request:
    return Request(
        **{"at": NOON, "agent": "canarium/0.1.0", **changes}, verb=verb, resource=resource
    )


def test_a_line_names_who_asked_for_what_and_when() -> None:
    assert parse_line(make_line()) == Request(
        at=NOON + 0.25, agent="canarium/0.1.0", verb="patch", resource="deployments", code=200
    )


def test_a_subresource_is_part_of_the_resource() -> None:
    line = make_line(objectRef={"resource": "modeldeployments", "subresource": "status"})
    found = parse_line(line)
    assert found is not None
    assert found.resource == "modeldeployments/status"


def test_discovery_has_no_resource() -> None:
    entry = json.loads(make_line())
    del entry["objectRef"]
    found = parse_line(json.dumps(entry).encode())
    assert found is not None
    assert found.resource == ""


@pytest.mark.parametrize(
    ("verb", "stage", "counts"),
    [
        ("get", "RequestReceived", False),
        ("get", "ResponseComplete", True),
        ("watch", "ResponseStarted", True),
        ("watch", "ResponseComplete", False),
    ],
)
def test_every_request_counts_in_one_stage_only(verb: str, stage: str, counts: bool) -> None:
    assert (parse_line(make_line(verb=verb, stage=stage)) is not None) is counts


def test_what_is_no_audit_entry_is_refused() -> None:
    with pytest.raises(msgspec.DecodeError):
        parse_line(b"{half a li")


def test_watches_leases_and_events_are_counted_apart() -> None:
    requests = [
        make_request("patch", "deployments"),
        make_request("patch", "deployments", code=409),
        make_request("get", "services"),
        make_request("create", "events"),
        make_request("update", "leases"),
        make_request("watch", "pods"),
    ]
    assert tally(requests, since=NOON, until=NOON + 1) == Tally(
        counted={("get", "services"): 1, ("patch", "deployments"): 2},
        events=1,
        leases=1,
        watches=1,
        conflicts=1,
    )


def test_only_the_operators_requests_within_the_time_count() -> None:
    requests = [
        make_request(agent="kube-controller-manager/v1.35.4"),
        make_request(agent="canary-bench"),
        make_request(agent="kopf/1.45.2"),
        make_request(at=NOON - 0.001),
        make_request(at=NOON + 1),
    ]
    assert tally(requests, since=NOON, until=NOON + 1).total == 1


def test_reads_are_no_writes_and_events_are() -> None:
    found = Tally(
        counted={("get", "services"): 3, ("patch", "modeldeployments/status"): 2},
        events=4,
        leases=9,
    )
    assert found.writes == {("patch", "modeldeployments/status"): 2, ("create", "events"): 4}


def test_a_lease_is_not_the_last_write() -> None:
    requests = [
        make_request("patch", at=NOON + 1),
        make_request("update", "leases", at=NOON + 2),
        make_request("get", at=NOON + 3),
    ]
    assert find_last_write(requests) == NOON + 1
    assert find_last_write([]) == 0.0


def test_the_tail_begins_at_the_end_and_waits_for_whole_lines(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    log.write_bytes(make_line(verb="list"))
    tail = Tail(log)
    line = make_line(verb="create")
    with log.open("ab") as file:
        file.write(line[:40])
        file.flush()
        assert tail.read() == []
        file.write(line[40:])
    assert [request.verb for request in tail.read()] == ["create"]
    tail.close()


def test_the_tail_follows_a_rotation_and_loses_nothing(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    log.write_bytes(b"")
    tail = Tail(log)
    with log.open("ab") as file:
        file.write(make_line(verb="create"))
        log.rename(tmp_path / "audit-1.log")
        log.write_bytes(make_line(verb="delete"))
    assert [request.verb for request in tail.read()] == ["create", "delete"]
    assert tail.read() == []
    tail.close()
