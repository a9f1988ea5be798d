"""What is found besides where a log is exact: it names who wrote what, and has no late watches."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from testbed.witness.changes import GATEWAY_RULES, Change, World
from testbed.witness.expectation import SLACK_SECONDS, Expectation, LowestSizes
from testbed.witness.invariants import Judge
from tests.e2e.selftest.witnessed import MODEL, Log, canary, promoted, serving

AUTHORS = {
    "ModelDeployment": "kubectl",
    "Pod": "kubelet",
    "EndpointSlice": "kube-controller-manager",
    GATEWAY_RULES: "gateway",
}
OURS = "canarium"


def by(author: str, log: Log) -> Log:
    """The last change was somebody else's than is usual."""
    log.changes[-1] = replace(log.changes[-1], by=author)
    return log


def violated(log: Log, ready: Callable[[World, str], int] = World.ready) -> list[str]:
    expected = Expectation(
        MODEL,
        look_seconds=SLACK_SECONDS,
        exact=True,
        sizes=LowestSizes,
        ready=ready,
    )
    judge = Judge(expected)
    changes = [replace(c, by=c.by or AUTHORS.get(c.kind, OURS)) for c in log.changes]
    found = [violation for change in changes for violation in judge.look(change)]
    return [f"{violation.invariant}: {violation.message}" for violation in found]


def gateway(log: Log, **weights: int) -> Log:
    """The gateway really works by these, whatever the route says."""
    backends = [{"name": f"{MODEL}-{name}", "weight": w} for name, w in weights.items()]
    rules = {"spec": {"rules": [{"backendRefs": backends}]}}
    return log._write(GATEWAY_RULES, MODEL, rules, None)


@pytest.mark.parametrize("log", [serving(), promoted(), canary().model(generation=3)])
def test_what_goes_well_violates_nothing(log: Log) -> None:
    assert violated(log) == []


def test_copies_count_by_their_percent() -> None:
    log = serving().revision("v2", pods=1).wait(9).mirror("v2", v1=100)

    assert violated(log) == ["2 capacity: v2 was raised to 100 with 1 of 2 ready pods"]


def test_a_pod_that_no_endpoint_tells_of_carries_nothing() -> None:
    log = serving().ready_pods("v1", 2).model(generation=2).revision("v2", pods=1, ready=0)
    log.ready_pods("v2", 1).wait(9).route(v1=80, v2=20)

    found = "2 capacity: v2 was raised to 20 without a ready pod"
    assert found in violated(log, World.ready_behind_services)
    assert found not in violated(log, World.ready_pods)


def test_a_route_to_what_has_no_deployment_is_found() -> None:
    log = serving()._write("ModelRevision", f"{MODEL}-v2", {}, "v2")
    log._write("Service", f"{MODEL}-v2", {"spec": {}}, "v2").wait(9)

    assert "4 release: v2 is routed and has no Deployment" in violated(log.route(v1=80, v2=20))


def test_what_the_gateway_works_by_counts_whatever_it_has_accepted() -> None:
    log = gateway(promoted().accept().wait(9), v1=80, v2=20)
    assert violated(log.scale("v1", 0)) == [
        "4 release: Deployment iris-v1 was left 0 of 2 pods that a rule still needs"
    ]

    assert violated(gateway(promoted(), v1=0, v2=100).scale("v1", 0)) == []


def test_what_others_take_is_not_held_against_us() -> None:
    assert violated(by("replicaset-controller", canary().scale("v1", 0))) == []


def cancelled() -> Log:
    """v2 was cancelled, and is tried again since the person asks for it once more."""
    return canary().model(generation=3).route(v1=100, v2=0).model(generation=4).wait(9)


def test_one_that_is_tried_again_falls_no_more_than_before() -> None:
    log = cancelled().route(v1=80, v2=20).wait(9)
    assert violated(log) == []

    assert violated(log.route(v1=100, v2=0)) == ["3 falls: v2 fell from 20 to 0 without a cause"]


@pytest.mark.parametrize("excuse", ["a pod was lost", "somebody else wrote the route"])
def test_what_a_log_tells_of_excuses_a_fall(excuse: str) -> None:
    log = canary().ready_pods("v2", 1).wait(9)
    if excuse == "a pod was lost":
        log._write("Pod", f"{MODEL}-v2-0", {"status": {}}, "v2")
    else:
        by("kubectl", log.route(v1=90, v2=10))

    assert violated(log.route(v1=100, v2=0)) == []


def test_what_was_rolled_back_waits_for_a_command() -> None:
    status = {"status": {"outcome": "RolledBack", "reason": "ErrorRateTooHigh"}}
    log = canary().model(generation=3).route(v1=100, v2=0).accept().wait(9).scale("v2", 0)
    log._write("ModelRevision", f"{MODEL}-v2", status, "v2").wait(9)
    asked = replace(log, changes=[*log.changes], _last=dict(log._last))
    asked.model(generation=3, annotations={"canarium.dev/retry": "v2@1"})

    assert violated(log.scale("v2", 1)) == ["5 rejected: v2 was rolled back and is tried again"]
    assert violated(asked.scale("v2", 1)) == []


def test_copies_for_a_third_are_a_second_canary() -> None:
    log = canary().revision("v3").wait(9)

    assert violated(log.mirror("v3", v1=80, v2=20)) == ["5 canaries: traffic for v1, v2, v3"]


def test_what_we_write_of_the_persons_object_is_found_by_what_changed() -> None:
    found = "6 ownership: canarium wrote more of the object than its status"

    assert violated(by(OURS, serving().model(replicas=3))) == [found]
    assert violated(by(OURS, serving().model())) == []


def test_a_way_in_that_nobody_asked_for_is_found_when_we_write_it() -> None:
    log = Log().exposed_model("a.b").revision("v1").wait(1).exposed_route("a.b").wait(9)
    theirs = by("kubectl", log.exposed_route("theirs.b"))
    assert violated(theirs) == []

    found = violated(theirs.exposed_route("theirs.b", "/ours"))
    assert [words[:36] for words in found] == ["10 reach: nobody has asked for {'spe"]


def test_the_fewest_that_were_asked_for_count_while_two_have_pods() -> None:
    log = canary().model(replicas=9, generation=3).wait(9)
    assert violated(log.route(v1=50, v2=50)) == []

    alone = serving().model(replicas=9, generation=3).wait(9).scale("v1", 8)
    assert violated(alone) == []
    assert violated(alone.ready("v1", 4).scale("v1", 4)) == [
        "4 release: Deployment iris-v1 was left 4 of 9 pods that a rule still needs"
    ]


def test_an_exact_time_is_no_whole_second() -> None:
    told = {"metadata": {"creationTimestamp": "1970-01-01T00:00:00Z", "name": "x"}}

    assert Change(9.5, "ADDED", "Pod", told, by="kubelet").earliest == 9.5
    assert Change(9.5, "ADDED", "Pod", told).earliest == 0.0
