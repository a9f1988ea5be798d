"""Stable dies, or only blinks, under a canary: real pods that crash, real traffic.

The log is held against the invariants when it is over, so that what an emergency gives a canary is
no promotion (`Promotions`).
"""

import json
import time

import pytest

from testbed.programs.processes import wait_until
from testbed.scenario.manifests import Json, image, make_model, probe, rollout
from testbed.scenario.scenario import Holds, Scenario, in_state, named, phase, weight

pytestmark = [pytest.mark.timeout(420, func_only=True)]
READY_SECONDS = 90.0
BLINK: Json = {"emergencyAfter": "30s"}
BLINK_SECONDS = 30.0
"""Much longer than deleted pods take to be ready again, on a node that is busy.

The ten seconds that it is when left out would be an emergency there, and rightly so.
"""
UNREADY_SECONDS = 5
"New pods are ready no sooner, so that the operator has the time to see that there is none."
MOST_CHANGES = 60
MOST_CHANGES_PER_SECOND = 2.0
"Of the object in an emergency of half a minute and more; a livelock made fifty in a second."
SERVED = 100
"So many answers in a row by the canary, 5 s of them, show that it serves all."
SERVER = """
import http.server, itertools, os, threading, time
numbers = itertools.count()

def watch():
    while not os.path.exists("/tmp/crash"):
        time.sleep(0.1)
    os._exit(3)

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        bad = self.path != "/ready" and next(numbers) % 100 < int(os.environ["BAD_PERCENT"])
        body = os.environ["ANSWER"].encode()
        self.send_response(500 if bad else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *_):
        pass

threading.Thread(target=watch).start()
http.server.ThreadingHTTPServer(("", 8080), Handler).serve_forever()
"""
"Answers until /tmp/crash is there, and from then on crashes whenever it is started."


def serving(version: str, scenario: Scenario, terms: Json, *, bad_percent: int = 0) -> Json:
    """A model of two such pods."""
    env = [
        {"name": "ANSWER", "value": json.dumps({"model_version": version})},
        {"name": "BAD_PERCENT", "value": str(bad_percent)},
    ]
    server = {
        "image": image(version),
        "command": ["python", "-c", SERVER],
        "env": env,
        "readinessProbe": probe("/ready", 8080) | {"initialDelaySeconds": UNREADY_SECONDS},
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
    }
    return make_model(
        {
            "model": {"version": version},
            "server": server,
            "pod": {"volumes": [{"name": "tmp", "emptyDir": {}}]},
            "scaling": {"replicas": 2},
            "traffic": {
                "router": "GatewayAPI",
                "parentRefs": [{"name": "public", "namespace": "gateways"}],
                "hostnames": [scenario.host],
            },
            "rollout": terms,
        }
    )


def pods_of(scenario: Scenario, revision: str) -> list[str]:
    selector = f"canarium.dev/revision={revision}"
    return scenario.kubectl("get", "pods", "-l", selector, "-o", "name").split()


def because(reason: str) -> Holds:
    """Holds of a ModelDeployment whose status has this reason."""
    return named(lambda found: found["status"].get("reason") == reason, f"reason {reason}")


def begin(scenario: Scenario, terms: Json, *, bad_percent: int = 0) -> tuple[str, str]:
    """v1 serves, and v2 is in its first step; their revisions."""
    scenario.apply(serving("v1", scenario, terms))
    scenario.wait(phase("Healthy"), READY_SECONDS)
    scenario.start_load()
    scenario.apply(serving("v2", scenario, terms, bad_percent=bad_percent))
    status = scenario.wait(in_state("Holding"), READY_SECONDS)["status"]
    return status["stable"]["revision"], status["canary"]["revision"]


def crash(scenario: Scenario, revision: str) -> None:
    for pod in pods_of(scenario, revision):
        scenario.kubectl("exec", pod, "--", "python", "-c", "open('/tmp/crash', 'w')")


def status_changes(scenario: Scenario, since: float) -> int:
    """How often the ModelDeployment changed from then on."""
    changes = scenario.changes()
    return sum(c.kind == "ModelDeployment" and c.time >= since for c in changes)


def serves_all(scenario: Scenario, version: str) -> bool:
    """Whether all that was sent last got good answers by this version."""
    last = scenario.load_so_far().sent[-SERVED:]
    return {(answer.status, answer.version) for answer in last} == {(200, version)}


def test_stable_that_crashes_under_a_canary_is_an_emergency_and_an_abort_gets_in(
    scenario: Scenario,
) -> None:
    """Two pods of stable, one of the canary at 20 %; then everything of stable crashes."""
    stable, canary = begin(scenario, rollout((20, "30m"), emergencyAfter="5s"))
    scenario.blamed = {image("v2")}  # a person aborts it in the end

    crashed_at = time.time()
    crash(scenario, stable)
    found = scenario.wait(because("EmergencyTraffic"), 120)
    scenario.wait(weight(100, "Holding"), 120)
    assert wait_until(lambda: serves_all(scenario, "v2"), 60), scenario.tell()
    time.sleep(10.0)  # in which a livelock would write
    changes, lasted = status_changes(scenario, crashed_at), time.time() - crashed_at
    scenario.command("abort", canary)
    aborted = scenario.wait(in_state("Reverting"), 30)
    scenario.kubectl("delete", *pods_of(scenario, stable), "--wait=false")  # without their crash
    scenario.wait(phase("RolledBack"), READY_SECONDS)
    scenario.stop_load()

    assert (found["status"]["stable"]["version"], found["status"]["canary"]["version"]) == (
        "v1",
        "v2",
    )
    assert [r["reason"] for r in aborted["status"]["rejected"]] == ["Aborted"]
    assert changes < max(MOST_CHANGES, MOST_CHANGES_PER_SECOND * lasted)


@pytest.mark.parametrize("asked", ["approval", "hold"])
def test_pods_of_stable_that_a_person_deletes_promote_nobody(
    scenario: Scenario, asked: str
) -> None:
    """The canary gives an error for every other request, and nobody has judged it yet."""
    step = {"name": "some", "weight": 20, "hold": "30m"}
    gate = {"approval": "Manual"} if asked == "approval" else {}
    stable, _ = begin(scenario, {"steps": [{**step, **gate}], **BLINK}, bad_percent=50)

    pods, before, deleted_at = pods_of(scenario, stable), scenario.mark(), time.time()
    scenario.kubectl("delete", *pods, "--wait=false")
    blinked = scenario.wait(because("StableUnavailable"), 60, since=before)
    back = scenario.wait(has_ready("stable", 2), 60, since=version_of(blinked))
    took = time.time() - deleted_at
    time.sleep(BLINK_SECONDS)  # what was to come of the blink has come
    found = scenario.get("ModelDeployment", "iris")
    scenario.stop_load()

    assert took < BLINK_SECONDS, "or it is an emergency, and rightly so"
    assert found is not None
    assert (back["status"]["stable"]["version"], found["status"]["canary"]["weight"]) == ("v1", 20)
    weights = {
        c.object.get("status", {}).get("canary", {}).get("weight", 0)
        for c in scenario.changes()
        if c.kind == "ModelDeployment" and c.time >= deleted_at
    }
    assert weights == {20}


def version_of(found: Json) -> str:
    """The version of an object from which on later ones are waited for."""
    return str(found["metadata"]["resourceVersion"])


def has_ready(part: str, count: int) -> Holds:
    """Holds of a ModelDeployment of which a revision has so many ready pods."""

    def holds(found: Json) -> bool:
        return int(found["status"].get(part, {}).get("readyReplicas", 0)) >= count

    return named(holds, f"{count} ready pods of {part}")
