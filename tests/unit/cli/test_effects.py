"""What is said of a command once the operator has acted on it, or has not."""

from __future__ import annotations

import pytest
from canarium.cli.objects.binding import Order
from canarium.cli.objects.effects import (
    find_reason,
    is_handled,
    is_replaced,
    tell_effect,
    tell_silence,
)

from tests.unit.cli import objects
from tests.unit.cli.objects import V7, Json, make_model


def order(verb: str) -> Order:
    return Order(verb, V7, "", f"{V7}@1")


def handled(verb: str, **ignored: str) -> Json:
    return make_model(
        "Progressing",
        "Reverting",
        "going back",
        lastHandledCommands={verb: f"{V7}@1"},
        ignoredCommands=ignored,
        metadata={"annotations": {f"canarium.dev/{verb}": f"{V7}@1"}},
    )


@pytest.mark.parametrize(
    ("verb", "want"),
    [
        ("promote", "promoted: going back"),
        ("abort", "aborted: going back"),
        ("retry", "tried again: going back"),
        ("restart", "restarting the pods of 7b9d6f5c88 one by one"),
        ("rollback", "going back to 7b9d6f5c88: going back"),
    ],
)
def test_an_effect_is_told_with_what_goes_on_since(verb: str, want: str) -> None:
    assert tell_effect(order(verb), handled(verb)) == want


def test_a_command_is_handled_when_status_says_its_very_text() -> None:
    other = Order("abort", V7, "", f"{V7}@2")
    assert is_handled(order("abort"), handled("abort"))
    assert not is_handled(other, handled("abort"))
    assert not is_handled(order("abort"), objects.UNSEEN)


def test_a_command_that_another_one_overwrote_is_noticed() -> None:
    assert not is_replaced(order("abort"), handled("abort"))
    assert is_replaced(Order("abort", V7, "", f"{V7}@2"), handled("abort"))
    assert is_replaced(order("abort"), objects.HOLDING)


def test_the_operators_reason_is_given_for_a_command_without_effect() -> None:
    assert find_reason(order("abort"), handled("abort", abort="it is gone")) == "it is gone"
    assert find_reason(order("abort"), handled("abort", promote="it is gone")) == ""


@pytest.mark.parametrize(
    ("verb", "model", "want"),
    [
        (
            "promote",
            objects.SCALING,
            (
                "written; it takes effect once its step holds. Now: step 1 of 3 (five) at 5 %:"
                " waits for 1 ready canary pods"
            ),
        ),
        (
            "retry",
            objects.REVERTING,
            "written; it takes effect once the pods of the rejected revision are gone",
        ),
        (
            "abort",
            objects.HOLDING,
            (
                "written, but nobody has acted on it within 30 s: does the operator run, and does"
                " it serve this namespace?"
            ),
        ),
    ],
    ids=["promote", "retry", "abort"],
)
def test_silence_is_explained(verb: str, model: Json, want: str) -> None:
    assert tell_silence(order(verb), model, 30.0) == want
