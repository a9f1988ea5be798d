"""What a command means for an object, and when it is refused at once."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from canarium.cli.objects.binding import (
    Order,
    bind_abort,
    bind_promote,
    bind_restart,
    bind_retry,
    bind_rollback,
    find_wanted,
)
from canarium.core.commands import VERBS, pending_commands
from canarium.errors import CommandError

from tests.unit.cli import objects
from tests.unit.cli.objects import RECORDS, V6, V7, V8, Json, make_model, make_record


def promote(model: Json, step: str | None = None, *, everything: bool = False) -> Order:
    return bind_promote(model, RECORDS, step=step, everything=everything)


def retry(model: Json, revision: str | None = None) -> Order:
    return bind_retry(model, RECORDS, revision=revision)


BOUND: dict[str, tuple[Callable[[], Order], tuple[str, str, str]]] = {
    "promote ends the present step": (lambda: promote(objects.HOLDING), ("promote", V7, "1")),
    "promote may come before the hold": (lambda: promote(objects.SCALING), ("promote", V7, "1")),
    "promote a step by name": (lambda: promote(objects.HOLDING, "half"), ("promote", V7, "2")),
    "promote a step by number": (lambda: promote(objects.HOLDING, "2"), ("promote", V7, "2")),
    "promote all the way": (
        lambda: promote(objects.HOLDING, everything=True),
        ("promote", V7, "full"),
    ),
    "abort takes the canary": (lambda: bind_abort(objects.SCALING), ("abort", V7, "")),
    "abort in the guard takes stable": (lambda: bind_abort(objects.GUARDING), ("abort", V7, "")),
    "retry what the spec names": (lambda: retry(objects.ROLLED_BACK), ("retry", V7, "")),
    "retry by version": (lambda: retry(objects.ROLLED_BACK, "v7"), ("retry", V7, "")),
    "retry a broken first one": (lambda: retry(objects.BROKEN), ("retry", V7, "")),
    "retry ends a rollback": (lambda: retry(objects.OVERRIDDEN), ("retry", V7, "")),
    "restart takes stable": (lambda: bind_restart(objects.HEALTHY), ("restart", V7, "")),
    "rollback by id": (lambda: bind_rollback(RECORDS, to=V6), ("rollback", V6, "")),
    "rollback by how the id begins": (
        lambda: bind_rollback(RECORDS, to="5d8"),
        ("rollback", V6, ""),
    ),
    "rollback by version": (lambda: bind_rollback(RECORDS, to="v6"), ("rollback", V6, "")),
}


@pytest.mark.parametrize("case", BOUND)
def test_a_command_is_bound_to_what_was_read(case: str) -> None:
    bind, want = BOUND[case]
    order = bind()
    assert (order.verb, order.revision, order.step) == want


OTHER = make_model(
    "RolledBack",
    "Rejected",
    "",
    stable=objects.STABLE,
    rejected=[{"revision": V8, "version": "v8"}],
)
TWINS = [*RECORDS, make_record("5d8fffffff", "v7")]
REFUSED: dict[str, tuple[Callable[[], Order], str]] = {
    "nothing is rolled out": (
        lambda: promote(objects.HEALTHY),
        "nothing is being rolled out: Healthy, version v7 serves all",
    ),
    "promoted already": (
        lambda: promote(objects.GUARDING),
        "v7 (7b9d6f5c88) is promoted already; abort takes it back",
    ),
    "being taken back": (
        lambda: bind_abort(objects.REVERTING),
        (
            "v7 (7b9d6f5c88) is being taken back: going back: canary: 9 of 30 failed (30%);"
            " allowed: 5%"
        ),
    ),
    "no such step": (
        lambda: promote(objects.HOLDING, "fifth"),
        "there is no step fifth: there are five, half, full",
    ),
    "no step 0": (
        lambda: promote(objects.HOLDING, "0"),
        "there is no step 0: there are five, half, full",
    ),
    "a step that is over": (
        lambda: promote(objects.AWAITING, "five"),
        "step five is over: step 2 (half) is under way",
    ),
    "nobody is rejected": (
        lambda: retry(objects.HEALTHY),
        "no revision is rejected: Healthy, version v7 serves all",
    ),
    "another one is rejected": (
        lambda: retry(OTHER),
        (
            "the revision that the spec names is not rejected;"
            " name one with --revision: v8 (9f66b19ced)"
        ),
    ),
    "that one is not rejected": (
        lambda: retry(objects.ROLLED_BACK, "v6"),
        "no revision v6 is rejected: there is v7 (7b9d6f5c88)",
    ),
    "not in history": (
        lambda: bind_rollback(RECORDS, to="v1"),
        "no revision v1 is in history: there is v6 (5d8f7c9b64), v7 (7b9d6f5c88)",
    ),
    "no history": (
        lambda: bind_rollback([], to="v1"),
        "no revision v1 is in history: there is none",
    ),
    "two of that version": (
        lambda: bind_rollback(TWINS, to="v7"),
        "v7 may be v7 (7b9d6f5c88), v7 (5d8fffffff): name one by its id",
    ),
    "no stable yet": (
        lambda: bind_restart(objects.UNSEEN),
        "there is no stable revision yet: Pending, not seen yet",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_command_without_a_meaning_is_refused_with_the_reason(case: str) -> None:
    bind, want = REFUSED[case]
    with pytest.raises(CommandError, match=f"^{re.escape(want)}$") as caught:
        bind()
    assert caught.value.code == 1


def test_a_spec_that_is_of_no_use_names_no_revision() -> None:
    broken = make_model("Invalid", "Rejected", "", spec={"server": {}})
    with pytest.raises(CommandError, match=r"mend it first: spec\.server\.image: is required"):
        find_wanted(broken, RECORDS)


def test_the_core_understands_what_is_written() -> None:
    orders = [
        promote(objects.HOLDING, "half"),
        bind_abort(objects.HOLDING),
        retry(objects.ROLLED_BACK),
        bind_restart(objects.HEALTHY),
        bind_rollback(RECORDS, to=V6),
    ]
    assert {order.verb for order in orders} == set(VERBS)
    read = pending_commands({order.verb: order.text for order in orders}, {})
    assert [(c.verb, c.revision, c.step or "") for c in read.values()] == sorted(
        ((order.verb, order.revision, order.step) for order in orders),
        key=lambda one: VERBS.index(one[0]),
    )


def test_every_command_has_an_id_of_its_own() -> None:
    texts = {bind_abort(objects.HOLDING).text for _ in range(100)}
    assert len(texts) == 100
