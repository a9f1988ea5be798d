"""Status is written seldom enough whatever is decided, and what matters most has its own budget."""

from __future__ import annotations

from canarium.core.plan import Plan
from canarium.core.status import RevisionStatus, Status
from canarium.shell.brake import Brake, Cause, find_cause

KEY = ("risk", "fraud")
BEFORE = Status(stable=RevisionStatus("a", weight=80), last_handled_commands={"abort": "a@1"})
HANDLED = {"abort": "a@1"}


def spend_for(seconds: float, cause: Cause, *, step: float = 0.02) -> int:
    """How many writes one object gets that wants one every `step` seconds."""
    now, granted = [0.0], 0
    brake = Brake(lambda: now[0])
    while now[0] < seconds:
        granted += brake.spend(KEY, cause) == 0.0
        now[0] += step
    return granted


def test_a_burst_passes_and_then_a_few_a_second() -> None:
    assert spend_for(0.5, Cause.ORDINARY) == 25
    assert 30 + 3 * 59 <= spend_for(60.0, Cause.ORDINARY) <= 30 + 3 * 61


def test_who_waits_as_long_as_said_gets_its_turn() -> None:
    now = [0.0]
    brake = Brake(lambda: now[0])
    while not (wait := brake.spend(KEY, Cause.ORDINARY)):
        pass
    now[0] += wait + 0.001
    assert brake.spend(KEY, Cause.ORDINARY) == 0.0


def test_one_cause_and_one_object_do_not_spend_for_another() -> None:
    brake = Brake(lambda: 0.0)
    while not brake.spend(KEY, Cause.ORDINARY):
        pass
    assert brake.spend(KEY, Cause.PROTECTION) == 0.0
    assert brake.spend(KEY, Cause.PERSON) == 0.0
    assert brake.spend(("risk", "other"), Cause.ORDINARY) == 0.0


def test_it_is_news_once_in_a_while_and_anew_for_a_new_object() -> None:
    now = [0.0]
    brake = Brake(lambda: now[0])
    assert (brake.is_news(KEY), brake.is_news(KEY)) == (True, False)
    now[0] = 601.0
    assert brake.is_news(KEY)
    brake.forget(KEY)
    assert brake.is_news(KEY)


def test_what_a_write_is_about() -> None:
    """A command first; then a rollback, or traffic to stable; the rest is ordinary."""
    same = {"stable": {"weight": 80}, "lastHandledCommands": HANDLED}
    assert find_cause(BEFORE, Plan(status=same)) is Cause.ORDINARY
    assert find_cause(BEFORE, Plan(status=same | {"stable": {"weight": 0}})) is Cause.ORDINARY
    assert find_cause(BEFORE, Plan(status=same, urgent=True)) is Cause.PROTECTION
    assert find_cause(BEFORE, Plan(status=same | {"stable": {"weight": 81}})) is Cause.PROTECTION
    handled = same | {"lastHandledCommands": {"abort": "a@2"}}
    assert find_cause(BEFORE, Plan(status=handled, urgent=True)) is Cause.PERSON
    assert find_cause(Status(), Plan(status={"phase": "Pending"})) is Cause.ORDINARY
