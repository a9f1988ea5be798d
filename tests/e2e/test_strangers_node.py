"""Others write the route in the middle of a rollout, under traffic: it is put right at once."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from testbed.programs.processes import ClusterError, wait_until
from testbed.scenario.manifests import rollout
from testbed.scenario.plays import change, serve
from testbed.scenario.scenario import Scenario, phase, weight
from testbed.witness.changes import Json

pytestmark = [pytest.mark.timeout(900, func_only=True)]

HOLD = rollout((20, "600s"))
PATCH = ("patch", "httproute/iris", "--type=json")
STRANGER = "--field-manager=stranger"
MOST_SECONDS = 10.0
"From an edit to the route as it was: by the watch, for what is listed anew comes a minute later."
CALM = 60
"""So many good answers in a row, 3 s of them, show that Traefik has loaded the route as it was.

It loads what it saw at most every 2 s, so one good answer may still be from before the edit.
"""
SERVED_SECONDS = 30.0
"From the route as it was to that many good answers."
LONG_PAUSE = 7
"After so many edits that were put right, the next one stays for 16 s."
THEIR_PATH = [{"path": {"type": "PathPrefix", "value": "/theirs"}}]
NOWHERE = {"backendRefs": [{"name": "theirs", "port": 80, "weight": 100}]}
EDITS: dict[str, Json] = {
    "path": {"op": "add", "path": "/spec/rules/0/matches", "value": THEIR_PATH},
    "host": {"op": "replace", "path": "/spec/hostnames", "value": ["theirs.example.com"]},
    "parent": {"op": "replace", "path": "/spec/parentRefs/0/name", "value": "theirs"},
    "rule": {"op": "add", "path": "/spec/rules/0", "value": NOWHERE},
}


@dataclass(frozen=True, slots=True)
class Edit:
    """When a stranger's edit was there and until when requests felt it, in seconds since 1970."""

    begin: float
    end: float


def edit(scenario: Scenario, change: Json) -> Edit:
    """Edit the route as somebody else, and wait until it is as before and serves as before."""
    before = route_of(scenario)
    begin = time.time()
    scenario.kubectl(*PATCH, STRANGER, "-p", json.dumps([change]))
    edited = time.time()
    while route_of(scenario) != before:
        assert time.time() < edited + 20, scenario.tell()
        time.sleep(0.02)
    assert time.time() - edited <= MOST_SECONDS
    return Edit(begin, wait_until_served(scenario))


def wait_until_served(scenario: Scenario) -> float:
    """Wait until the gateway works by the route that is there now; seconds since 1970."""
    begin = time.time()
    while True:
        now = time.time()
        answers = scenario.load_so_far().between(begin, now).sent[-CALM:]
        if len(answers) == CALM and all(answer.ok for answer in answers):
            return now
        assert now < begin + SERVED_SECONDS, scenario.tell()
        time.sleep(0.2)


def route_of(scenario: Scenario) -> Json:
    found = scenario.get("HTTPRoute", "iris")
    assert found is not None
    spec: Json = found["spec"]
    return spec


def told(scenario: Scenario, reason: str) -> list[str]:
    """What events with this reason say."""
    events = [e for e in scenario.all_of("Event") if e.get("reason") == reason]
    return [str(e.get("note", "")) for e in events]


def test_what_others_write_in_a_hold_is_put_right_at_once_and_told(scenario: Scenario) -> None:
    serve(scenario, "v1", HOLD)
    change(scenario, "v2", HOLD)
    scenario.wait(weight(20, "Holding"), 90)
    edits = [edit(scenario, what) for what in EDITS.values()]

    found = scenario.wait(weight(20, "Holding"), 30)
    assert found["status"]["traffic"]["hostnames"] == [scenario.host]
    report = scenario.stop_load()
    late = [
        answer
        for answer in report.failures
        if not any(e.begin <= (answer.start or 0.0) <= e.end for e in edits)
    ]
    assert late == [], report.describe_failures()
    assert wait_until(lambda: bool(told(scenario, "ExternalChangeReverted")), 10)
    assert told(scenario, "ExternalChangeReverted")[0] == (
        "HTTPRoute iris was changed by stranger; it is put right"
    )


@contextmanager
def keeps_writing(scenario: Scenario, change: Json) -> Iterator[None]:
    """A stranger who writes again as soon as their edit is gone."""
    ended = threading.Event()
    wanted = change["value"]

    def write() -> None:
        while not ended.wait(0.1):
            if route_of(scenario)["rules"][0].get("matches") == wanted:
                continue
            try:
                scenario.kubectl(*PATCH, STRANGER, "-p", json.dumps([change]))
            except ClusterError:
                continue  # the route was just written by another

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(30)


def test_somebody_who_keeps_writing_is_named_and_holds_no_rollback_up(scenario: Scenario) -> None:
    serve(scenario, "v1", HOLD)
    change(scenario, "v2", HOLD)
    holding = scenario.wait(weight(20, "Holding"), 90)
    canary = str(holding["status"]["canary"]["revision"])
    with keeps_writing(scenario, EDITS["path"]):
        contested = scenario.wait(is_contested, 120)
        ready = {c["type"]: c for c in contested["status"]["conditions"]}["Ready"]
        assert "stranger" in ready["message"]
        scenario.wait(pauses_long, 180)
        scenario.command("abort", canary)
        asked = time.monotonic()
        while any(b["name"].endswith(canary) for b in backends_of(scenario)):
            assert time.monotonic() < asked + MOST_SECONDS, scenario.tell()
            time.sleep(0.05)
    scenario.wait(phase("RolledBack"), 120)
    scenario.stop_load()
    healed = scenario.wait(lambda found: not is_contested(found), 180)
    assert {c["type"]: c["status"] for c in healed["status"]["conditions"]}["Ready"] == "True"


def is_contested(found: Json) -> bool:
    """Whether Ready is False because others keep writing the route."""
    conditions = (found.get("status") or {}).get("conditions", [])
    return any(c["type"] == "Ready" and c["reason"] == "RouteContested" for c in conditions)


def pauses_long(found: Json) -> bool:
    """so many edits put right that the next one stays"""
    return bool(found["status"].get("routes", {}).get("reverts", 0) >= LONG_PAUSE)


def backends_of(scenario: Scenario) -> list[Json]:
    rules = route_of(scenario)["rules"]
    return [backend for rule in rules for backend in rule["backendRefs"] if backend["weight"]]
