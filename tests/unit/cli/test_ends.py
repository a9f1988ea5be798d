"""When `canarium wait` is over, and with which exit code."""

from __future__ import annotations

import pytest
from canarium.cli.exits import Exit
from canarium.cli.objects.ends import End, find_end, is_at_rest

from tests.unit.cli import objects
from tests.unit.cli.objects import Json, make_model

BLOCKED = make_model(
    "Progressing",
    "Scaling",
    "Service fraud belongs to somebody else",
    reason="NameConflict",
    conditions={"Stalled": "True"},
)
OUTDATED = {**objects.HEALTHY, "metadata": {**objects.HEALTHY["metadata"], "generation": 5}}
PAUSED = make_model(
    "Paused", "Holding", "waits for spec.rollout.paused to become false", reason="Paused"
)
SCALED_TO_ZERO = make_model(
    "Paused",
    "Idle",
    "version v7 answers nobody, since it has no pods",
    reason="ScaledToZero",
    conditions={"UpToDate": "True", "Ready": "False"},
)
WORDS = objects.FAILED["message"]

ENDS: list[tuple[str, Json, End | None]] = [
    ("holding", objects.HOLDING, None),
    ("scaling", objects.SCALING, None),
    ("reverting", objects.REVERTING, None),
    ("unseen", objects.UNSEEN, None),
    ("about an earlier spec", OUTDATED, None),
    ("healthy", objects.HEALTHY, End(Exit.DONE, "version v7 serves all")),
    ("guarding", objects.GUARDING, End(Exit.DONE, objects.GUARDING["status"]["message"])),
    (
        "rolled back",
        objects.ROLLED_BACK,
        End(Exit.REFUSED, f"RolledBack, ErrorRateTooHigh: {WORDS}"),
    ),
    (
        "overridden",
        objects.OVERRIDDEN,
        End(
            Exit.REFUSED,
            "RolledBack, Overridden: version v6 serves because a person went back to it",
        ),
    ),
    (
        "broken",
        objects.BROKEN,
        End(
            Exit.REFUSED,
            "Failed, ImagePullBackOff: image registry.example.com/fraud:v7 cannot be pulled",
        ),
    ),
    (
        "stalled",
        BLOCKED,
        End(Exit.REFUSED, "Progressing, NameConflict: Service fraud belongs to somebody else"),
    ),
    (
        "awaiting approval",
        objects.AWAITING,
        End(
            Exit.WAITS,
            "waits for a person, AwaitingApproval: step 2 of 3 (half) at 50 %:"
            " waits for a person to promote it",
        ),
    ),
    ("scaled to zero", SCALED_TO_ZERO, End(Exit.DONE, SCALED_TO_ZERO["status"]["message"])),
    (
        "paused",
        PAUSED,
        End(
            Exit.WAITS,
            "waits for a person, Paused: waits for spec.rollout.paused to become false",
        ),
    ),
]


@pytest.mark.parametrize(
    ("model", "want"), [case[1:] for case in ENDS], ids=[case[0] for case in ENDS]
)
def test_a_wait_ends_with_the_verdict(model: Json, want: End | None) -> None:
    assert find_end(model) == want


def test_a_wait_through_the_guard_ends_when_it_is_over() -> None:
    assert find_end(objects.GUARDING, through_guard=True) is None
    assert find_end(objects.HEALTHY, through_guard=True) == find_end(objects.HEALTHY)


def test_a_wait_through_pauses_goes_on_while_a_person_is_waited_for() -> None:
    assert find_end(objects.AWAITING, through_pauses=True) is None


def test_at_rest_is_what_stays_until_somebody_changes_something() -> None:
    models = [model for _, model, _ in ENDS]
    resting = [name for (name, *_), model in zip(ENDS, models, strict=True) if is_at_rest(model)]
    assert resting == ["healthy", "rolled back", "overridden", "broken", "scaled to zero"]
