"""Each invariant's check finds a log that violates it, and passes the nearest one that doesn't."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from testbed.witness.expectation import Expectation
from testbed.witness.invariants import check_namespaces, find_violations
from tests.e2e.selftest.witnessed import (
    MODEL,
    Log,
    canary,
    late,
    noted,
    promoted,
    rescued,
    rolled_back,
    serving,
)


def violated(log: Log, *blamed: str) -> list[str]:
    expected = Expectation(MODEL, frozenset(blamed))
    return [f"{v.invariant}: {v.message}" for v in find_violations(log.changes, expected)]


@pytest.mark.parametrize(
    ("log", "blamed"),
    [
        pytest.param(serving(), (), id="serving"),
        pytest.param(promoted().accept().wait(9).scale("v1", 0), (), id="promoted"),
        pytest.param(rolled_back(), ("v2",), id="rolled back"),
        pytest.param(canary().model(generation=3).route(v1=100, v2=0), (), id="cancelled"),
        pytest.param(
            rolled_back().model(generation=2, annotations={"canarium.dev/retry": "v2@1"})
            .scale("v2", 1).route(v1=80, v2=20), ("v2",), id="retried",
        ),
        pytest.param(
            serving().ready("v1", 0).wait(1).model(generation=2).revision("v2", pods=1)
            .route(v1=0, v2=100), (), id="a broken stable is replaced by what there is",
        ),
        pytest.param(
            canary().model_deleted().deployment_deleted("v1").model(uid="another"), (),
            id="deleted and created again",
        ),
        pytest.param(
            canary().namespace_deleted().deployment_deleted("v1"), (), id="namespace deleted",
        ),
    ],
)  # fmt: skip
def test_a_rollout_as_it_should_be_violates_nothing(log: Log, blamed: tuple[str, ...]) -> None:
    assert violated(log, *blamed) == []


@pytest.mark.parametrize(
    ("log", "want"),
    [
        (serving().route(v1=90), "weights don't sum to 100 in {'v1': 90}"),
        (
            serving().route(v1=120, v3=-20),
            "a weight is not within 0 and 100 in {'v1': 120, '?iris-v3': -20}",
        ),
        (
            serving().route(v1=80, v3=20),
            "no such revision as ?iris-v3 in {'v1': 80, '?iris-v3': 20}",
        ),
    ],
)
def test_weights_that_make_no_sense_are_found(log: Log, want: str) -> None:
    assert f"1 weights: {want}" in violated(log)


@pytest.mark.parametrize(
    ("log", "want"),
    [
        pytest.param(
            serving().revision("v2", pods=1, ready=0).wait(1).route(v1=80, v2=20),
            "v2 was raised to 20 without a ready pod",
            id="none ready",
        ),
        pytest.param(
            serving().revision("v2", pods=1).wait(1).route(v1=0, v2=100),
            "v2 was raised to 100 with 1 of 2 ready pods",
            id="too few ready",
        ),
        pytest.param(
            Log().model().revision("v1", ready=0).route(v1=100),
            "v1 was raised to 100 without a ready pod",
            id="the first revision isn't ready",
        ),
        pytest.param(
            canary().ready("v1", 1).wait(2).route(v1=100, v2=0),
            "v1 was raised to 100 with 1 of 2 ready pods",
            id="back to a stable that lost a pod",
        ),
    ],
)
def test_weight_before_capacity_is_found(log: Log, want: str) -> None:
    assert f"2 capacity: {want}" in violated(log, "v2")


@pytest.mark.parametrize(
    ("pods", "want"), [(0, "without a ready pod"), (1, "with 1 of 2 ready pods")]
)
def test_a_leading_service_that_turns_too_early_is_found(pods: int, want: str) -> None:
    log = serving().ready_pods("v1", 2).leads("v1").revision("v2", pods=2).wait(9)

    log.ready_pods("v2", pods).wait(1).leads("v2")

    assert violated(log) == [f"2 selection: v2 was raised to 100 {want}"]


def test_taking_pods_from_the_revision_that_the_service_leads_to_is_found() -> None:
    log = Log().model().revision("v1").ready_pods("v1", 2).leads("v1").scale("v1", 1)

    assert violated(log) == [
        "4 release: Deployment iris-v1 was left 1 of 2 pods that a rule still needs"
    ]


def test_what_an_autoscaler_may_take_ends_at_the_fewest_pods() -> None:
    log = Log().scaled_model(least=2).revision("v1", pods=5).route(v1=100).accept().wait(9)
    well = violated(log.scale("v1", 2))

    log.scale("v1", 1)

    assert (well, violated(log)) == (
        [],
        ["4 release: Deployment iris-v1 was left 1 of 2 pods that a rule still needs"],
    )


def test_an_idle_model_may_be_put_to_sleep_but_its_deployment_may_not_go() -> None:
    log = Log().scaled_model(least=0).revision("v1", pods=1).route(v1=100).accept().wait(9)
    well = violated(log.scale("v1", 0).scale("v1", 1))

    log.deployment_deleted("v1")

    assert (well, violated(log)) == (
        [],
        ["4 release: Deployment iris-v1 was left 0 of 1 pods that a rule still needs"],
    )


@pytest.mark.parametrize(
    ("noted", "want"),
    [
        pytest.param("1970-01-01T00:17:50Z", [], id="the witness was late"),
        pytest.param(
            "1970-01-01T00:17:51Z",
            ["4 release: Deployment iris-v1 was left 0 of 2 pods that a rule still needs"],
            id="the operator was early",
        ),
    ],
)
def test_a_gateways_word_counts_from_the_second_that_the_apiserver_noted(
    noted: str, want: list[str]
) -> None:
    """Both are seen 0.7 s before the pods are taken, at 00:17:52.1."""
    log = promoted().wait(2.4).accept(noted).wait(0.7).scale("v1", 0)

    assert violated(log) == want


def test_a_pod_that_goes_between_look_and_write_is_nobodys_fault() -> None:
    log = serving().revision("v2", pods=1).wait(9).ready("v2", 0).wait(0.1).route(v1=80, v2=20)

    assert violated(log) == []


def test_a_pod_that_went_before_the_look_is_somebodys() -> None:
    log = serving().revision("v2", pods=1).wait(9).ready("v2", 0).wait(2).route(v1=80, v2=20)

    assert violated(log) == ["2 capacity: v2 was raised to 20 without a ready pod"]


def test_a_witness_that_is_late_finds_nothing_wrong() -> None:
    """Each of these was seen when all of it was over, but for what the apiserver noted itself."""
    accepted = late(promoted().accept(), 2).wait(1).scale("v1", 0)
    edited = late(exposed().exposed_route("theirs.b").wait(40).exposed_route("a.b"), 20)
    held = rescued({**HELD, "hold": "20s"}).wait(2)
    for number, change in enumerate(held.changes):
        if change.kind == "HTTPRoute":
            held.changes[number] = noted(change, change.time, change.time + 5)

    assert violated(promoted().accept().wait(1).scale("v1", 0)) != []
    assert violated(accepted) == []
    assert violated(edited) == []
    assert violated(held.scale("v1", 0)) == []


@pytest.mark.parametrize("how", [Log.preview, Log.mirror])
def test_who_is_named_by_header_or_mirror_alone_needs_one_pod(how: Callable[..., Log]) -> None:
    log = serving().revision("v2", pods=1).wait(9)
    how(log, "v2", v1=100).accept().wait(9)
    well = violated(log)

    log.scale("v2", 0)

    assert (well, violated(log)) == (
        [],
        ["4 release: Deployment iris-v2 was left 0 of 1 pods that a rule still needs"],
    )


@pytest.mark.parametrize("how", [Log.preview, Log.mirror])
def test_a_preview_or_mirror_before_there_is_a_pod_is_found(how: Callable[..., Log]) -> None:
    log = serving().revision("v2", pods=1, ready=0).wait(9)

    assert violated(how(log, "v2", v1=100)) == [
        "2 capacity: v2 was raised to 1 without a ready pod"
    ]


def test_a_preview_that_ends_is_no_fall() -> None:
    log = serving().revision("v2", pods=1).wait(9).preview("v2", v1=100).accept().wait(9)

    assert violated(log.route(v1=80, v2=20)) == []


def test_weights_of_traefiks_own_kind_are_held_against_the_same() -> None:
    log = Log().model().revision("v1").revision("v2", pods=1).traefik(v1=100).wait(9)

    log.traefik(v1=30, v2=60).traefik(v1=100).scale("v2", 0)

    assert violated(log) == [
        "1 weights: weights don't sum to 100 in {'v1': 30, 'v2': 60}",
        "2 capacity: v2 was raised to 60 with 1 of 2 ready pods",
        "3 falls: v2 fell from 60 to 0 without a cause",
        "4 release: Deployment iris-v2 was left 0 of 2 pods that a rule still needs",
    ]


def test_a_fall_without_a_cause_is_found() -> None:
    log = canary().accept().wait(9).route(v1=100, v2=0)

    assert violated(log) == ["3 falls: v2 fell from 20 to 0 without a cause"]


APPROVED = {"name": "some", "weight": 20, "approval": "Manual"}
HELD = {"name": "some", "weight": 20, "hold": "1h"}


@pytest.mark.parametrize("step", [APPROVED, HELD])
def test_what_a_canary_got_in_an_emergency_it_may_give_back(step: dict[str, str]) -> None:
    assert (
        violated(
            rescued(step).ready("v1", 1).route(v1=50, v2=50).ready("v1", 2).route(v1=80, v2=20)
        )
        == []
    )


def test_less_than_what_it_had_is_a_fall_even_so() -> None:
    log = rescued(HELD).ready("v1", 2).route(v1=90, v2=10)

    assert violated(log) == ["3 falls: v2 fell from 100 to 10 without a cause"]


@pytest.mark.parametrize(
    ("step", "want"),
    [(APPROVED, "nobody approved it"), (HELD, "its steps hold 3600 s, of which 29 had passed")],
)
def test_a_canary_that_an_emergency_makes_stable_is_found(step: dict[str, str], want: str) -> None:
    log = rescued(step).scale("v1", 0)

    assert violated(log) == [f"13 emergency: v2 is stable, and {want}"]


@pytest.mark.parametrize(
    "log",
    [
        pytest.param(rescued(HELD).wait(3600).scale("v1", 0), id="held"),
        pytest.param(
            rescued(APPROVED).stepped(
                APPROVED, generation=2, annotations={"canarium.dev/promote": "v2:1@1"}
            ).scale("v1", 0), id="approved",
        ),
        pytest.param(
            serving().stepped(HELD, generation=2).ready("v1", 0).wait(11).revision("v2")
            .route(v1=0, v2=100).accept().wait(9).scale("v1", 0), id="a fix",
        ),
    ],
)  # fmt: skip
def test_a_canary_that_passes_its_gates_in_an_emergency_becomes_stable(log: Log) -> None:
    assert violated(log) == []


def test_a_fall_back_after_promotion_is_found() -> None:
    assert violated(promoted().wait(9).route(v1=100, v2=0)) == [
        "3 falls: v2 fell from 100 to 0 without a cause"
    ]


@pytest.mark.parametrize(
    ("log", "want"),
    [
        pytest.param(
            promoted().scale("v1", 0),
            "Deployment iris-v1 was left 0 of 2 pods",
            id="the new weight isn't accepted",
        ),
        pytest.param(
            promoted().accept().wait(1).scale("v1", 0),
            "Deployment iris-v1 was left 0 of 2 pods",
            id="accepted but not settled",
        ),
        pytest.param(
            canary().scale("v1", 1),
            "Deployment iris-v1 was left 1 of 2 pods",
            id="stable gets smaller during a rollout",
        ),
        pytest.param(
            canary().accept().wait(9).deployment_deleted("v2"),
            "Deployment iris-v2 was left 0 of 1 pods",
            id="a canary with traffic is deleted",
        ),
    ],
)
def test_capacity_taken_before_weight_is_found(log: Log, want: str) -> None:
    assert violated(log) == [f"4 release: {want} that a rule still needs"]


def test_weights_of_a_rule_by_header_make_sense_too() -> None:
    log = serving().revision("v2", pods=1).wait(9).preview("v2", v1=100)
    assert violated(log) == []
    rule = log.changes[-1].object["spec"]["rules"][0]
    rule["backendRefs"] = [{"name": f"{MODEL}-{name}", "weight": 40} for name in ("v1", "v2")]

    assert violated(log) == ["1 weights: weights don't sum to 100 in {'v1': 40, 'v2': 40}"]


def test_a_canary_by_header_beside_two_is_found() -> None:
    log = canary().revision("v3", pods=1).wait(9).preview("v3", v1=80, v2=20)

    assert violated(log) == ["5 canaries: traffic for v1, v2, v3"]


def test_two_canaries_are_found() -> None:
    log = canary().revision("v3", pods=1).route(v1=60, v2=20, v3=20)

    assert violated(log) == ["5 canaries: traffic for v1, v2, v3"]


@pytest.mark.parametrize(
    "again",
    [
        pytest.param(rolled_back().scale("v2", 1), id="pods"),
        pytest.param(rolled_back().route(v1=80, v2=20), id="weight"),
        pytest.param(rolled_back().model(generation=3).scale("v2", 1), id="after an edit"),
        pytest.param(
            rolled_back()
            .model(annotations={"canarium.dev/retry": "v2@1"})
            .scale("v2", 1)
            .scale("v2", 0)
            .scale("v2", 1),
            id="twice by one retry",
        ),
    ],
)
def test_a_rejected_revision_that_is_tried_again_is_found(again: Log) -> None:
    assert "5 rejected: v2 is tried again" in violated(again, "v2")


def written(manager: str, field: str, **more: str) -> dict[str, Any]:
    return {"managedFields": [{"manager": manager, "fieldsV1": {field: {}}, **more}]}


SCALE = {"subresource": "scale"}


@pytest.mark.parametrize(
    ("metadata", "want"),
    [
        (written("canarium", "f:spec"), ["canarium wrote f:spec"]),
        (written("python-requests", "f:metadata"), ["python-requests wrote f:metadata"]),
        (written("canarium", "f:status"), []),
        (written("kube-controller-manager", "f:spec", **SCALE), []),
        (written("kube-controller-manager", "f:spec"), ["kube-controller-manager wrote f:spec"]),
        (written("canarium-capacity", "f:spec", **SCALE), ["canarium-capacity wrote f:spec"]),
        (written("kubectl-client-side-apply", "f:spec"), []),
        ({"finalizers": ["kopf.zalando.org/x"]}, ["finalizers ['kopf.zalando.org/x']"]),
        ({"finalizers": ["foregroundDeletion"]}, []),
        ({"annotations": {"canarium.dev/step": "2"}}, ["annotation canarium.dev/step"]),
        ({"annotations": {"kopf.zalando.org/last": "2"}}, ["annotation kopf.zalando.org/last"]),
        ({"annotations": {"canarium.dev/retry": "v2@1", "team": "risk"}}, []),
    ],
)
def test_what_we_write_of_the_persons_object_is_found(
    metadata: dict[str, Any], want: list[str]
) -> None:
    assert violated(Log().model(**metadata)) == [f"6 ownership: {words}" for words in want]


def test_an_object_of_ours_in_another_namespace_is_found() -> None:
    ours = [{"manager": "canarium"}]
    log = Log().model()._write("Service", "x", {}, "v1", managedFields=ours)
    log._write("Service", "y", {}, "v1", managedFields=ours, namespace="elsewhere")

    assert [v.message for v in check_namespaces(log.changes)] == ["Service y is ours"]


def test_what_was_there_before_a_witness_is_judged_by_another() -> None:
    ours = [{"manager": "canarium"}]
    log = Log()._write("Service", "left", {}, "v1", managedFields=ours, namespace="elsewhere")
    seen_late = [replace(change, type="LISTED") for change in log.changes]
    log._delete("Service", "left")

    assert list(check_namespaces([*seen_late, *log.changes[1:]])) == []
    assert [v.message for v in check_namespaces(log.changes)] == ["Service left is ours"] * 2


def exposed() -> Log:
    """v1 serves by its host name."""
    return Log().exposed_model("a.b").revision("v1").wait(1).exposed_route("a.b").wait(9)


@pytest.mark.parametrize(
    "edited",
    [
        pytest.param(lambda log: log.exposed_route("theirs.b"), id="host"),
        pytest.param(lambda log: log.exposed_route("a.b", "/theirs"), id="path"),
        pytest.param(lambda log: log.exposed_route("a.b", backend="theirs"), id="backend"),
    ],
)
def test_a_strangers_edit_that_stays_is_found(edited: Callable[[Log], Log]) -> None:
    assert violated(edited(exposed()).wait(49).exposed_route("a.b")) == []
    stays = edited(exposed()).wait(51).exposed_route("a.b")
    assert violated(stays) == ["10 reach: a stranger's edit stayed for 51.0 s"]
    seen_at_the_end = edited(exposed()).wait(51).ready("v1", 2)
    assert violated(seen_at_the_end) == ["10 reach: a stranger's edit stayed for 51.0 s"]


def test_a_host_that_the_person_asked_for_before_may_stay_while_a_rollout_goes_on() -> None:
    log = exposed().exposed_model("new.b", generation=2).wait(99).exposed_route("a.b").wait(99)
    assert violated(log.exposed_route("new.b").wait(99).ready("v1", 2)) == []


def test_what_may_return_once_is_found_when_it_returns_again() -> None:
    expected = Expectation(MODEL, frozenset(("v2",)), returns=1)
    once = canary().ready("v2", 0).route(v1=100, v2=0).ready("v2", 1).route(v1=80, v2=20)
    assert find_violations(once.changes, expected) == []

    again = once.ready("v2", 0).route(v1=100, v2=0).ready("v2", 1).route(v1=80, v2=20)
    assert [v.message for v in find_violations(again.changes, expected)] == ["v2 is tried again"]


def test_a_status_that_is_written_over_and_over_is_found() -> None:
    busy = serving()
    for _ in range(40):
        busy.wait(0.25).model()
    assert violated(busy) == []
    assert violated(busy.model(generation=2, annotations={"canarium.dev/abort": "v2@1"})) == []
    assert violated(busy.model(generation=2, annotations={"canarium.dev/abort": "v2@1"})) == [
        "11 decisions: 41 statuses were written within 10 s"
    ]


def test_statuses_at_leisure_are_none_too_many() -> None:
    log = serving()
    for _ in range(200):
        log.wait(0.5).model()
    assert violated(log) == []


@pytest.mark.parametrize("end", [Log.model, Log.model_deleted])
def test_what_was_last_noted_long_before_it_was_seen_counts_for_nothing(
    end: Callable[[Log], Log],
) -> None:
    """So is a model that was deleted long after its last status was written."""
    log = serving()
    for _ in range(39):
        log.wait(0.25).model()
    assert violated(late(end(log), 60.0)) == []


def undecided(news: Callable[[Log], Log]) -> list[str]:
    log = canary()
    for _ in range(2):
        news(log).route(v1=100, v2=0)
        news(log).route(v1=80, v2=20)
    expected = Expectation(MODEL, frozenset(("v2",)), returns=9)
    return [v.message for v in find_violations(log.changes, expected)]


def test_shares_that_are_given_and_taken_with_nothing_new_to_see_are_found() -> None:
    found = "for the third time: [[('v1', 80), ('v2', 20)]]"
    assert undecided(lambda log: log) == [found]
    assert undecided(lambda log: log.model(generation=2)) == [found], "a status is no news"
    assert undecided(lambda log: log.ready("v2", 0).ready("v2", 1)) == []
    assert undecided(Log.accept) == []


def test_a_fault_of_the_operators_own_is_found() -> None:
    def log(reason: str) -> Log:
        body = {"spec": {}, "status": {"reason": reason, "message": "the operator failed"}}
        return Log()._write("ModelDeployment", MODEL, body, None)

    assert violated(log("Healthy")) == []
    assert violated(log("InternalError")) == ["12 faults: the operator failed"]
