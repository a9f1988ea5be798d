"""A person's commands that no state waits for, and why a command has no effect.

What a state takes (promote, abort, retry) is in `rollout.decide.states`.
"""

from __future__ import annotations

from collections.abc import Callable

from canarium.core.commands import VERBS, Command, Verb
from canarium.core.spec import CLOSING_NAME
from canarium.rollout.decide.transitions import (
    clear_rejection,
    go_back,
    lift_override,
    record_command,
    restart,
)
from canarium.rollout.situation.revision import read_account, recall
from canarium.rollout.situation.situation import Situation
from canarium.rollout.situation.stages import ROLLING


def take_orders(situation: Situation) -> Situation:
    """Restart stable, go back to a revision of the history, or lift that."""
    return _take_rollback(_take_retry(_take_restart(situation)))


def _take_restart(situation: Situation) -> Situation:
    command, stable = situation.command("restart"), situation.stable
    if command is None or stable is None or command.revision != stable.revision:
        return situation
    return restart(record_command(situation, command))


def _take_retry(situation: Situation) -> Situation:
    """A retry of what the spec names ends a rollback; one before the rejection is void."""
    command, override = situation.command("retry"), situation.status.override
    if command is None or situation.rollout.state == "Broken":
        return situation
    if override is not None and command.revision == override.instead:
        return lift_override(record_command(clear_rejection(situation, command.revision), command))
    if command.revision in {rejection.revision for rejection in situation.status.rejected}:
        return situation
    return record_command(situation, command, ignored=_explain(situation, command))


def _take_rollback(situation: Situation) -> Situation:
    command = situation.command("rollback")
    if command is None or _refuse_rollback(situation, command):
        return situation
    situation = _overtake_retry(situation, command)
    return go_back(record_command(situation, command), command.revision)


def _overtake_retry(situation: Situation, rollback: Command) -> Situation:
    """A retry that is still waiting is older than the rollback, which it would take back."""
    retry = situation.command("retry")
    if retry is None or retry.revision == rollback.revision:
        return situation
    words = f"a person went back to revision {rollback.revision} before it could be tried"
    return record_command(situation, retry, ignored=words)


def _refuse_rollback(situation: Situation, command: Command) -> str:
    if situation.named is None:
        return "the spec cannot be used: mend it first"
    if recall(situation.observed, command.revision) is None:
        return f"there is no revision {command.revision} in the history"
    if account := _find_foreign_account(situation, command.revision):
        return (
            f"revision {command.revision} runs as the service account {account}, which the spec"
            " doesn't name: write it into spec.pod.serviceAccountName, or apply that manifest again"
        )
    serves = situation.stable is not None and situation.stable.revision == command.revision
    rests = situation.canary is None and situation.previous is None
    return (
        "it serves already" if serves and rests and command.revision == _wanted(situation) else ""
    )


def _find_foreign_account(situation: Situation, revision: str) -> str:
    """The account that a revision of the history runs as, unless it is one that anybody may use.

    Who may give the command need not be allowed to use it; whoever wrote what the spec names now
    was asked for that.
    """
    recalled = recall(situation.observed, revision)
    if recalled is None or recalled.record is None or situation.spec is None:
        return ""
    account = read_account(recalled.record.template)
    named = (situation.spec.source.get("pod") or {}).get("serviceAccountName")
    return "" if account in ("", "default", named) else account


def _wanted(situation: Situation) -> str:
    return situation.wanted.revision if situation.wanted else ""


def dismiss_commands(situation: Situation) -> Situation:
    """Record the commands that can have no effect any more, so that they never surprise."""
    for verb in VERBS:
        command = situation.command(verb)
        if command is None or _is_awaited(situation, command):
            continue
        refused = {rejection.revision for rejection in situation.status.rejected}
        if verb == "retry" and command.revision in refused:
            situation = record_command(clear_rejection(situation, command.revision), command)
        else:
            situation = record_command(situation, command, ignored=_explain(situation, command))
    return situation


def _is_awaited(situation: Situation, command: Command) -> bool:
    """Whether a command may still have its effect.

    A retry waits for the old pods to go, a promote for the step that it names.
    """
    state = situation.rollout.state
    if command.verb == "retry" and state == "Rejected":
        return command.revision == _wanted(situation)
    if situation.canary is None or command.revision != situation.canary.revision:
        return False
    if command.verb == "promote":
        return state in ROLLING and _is_to_come(situation, command)
    return command.verb == "retry" and state == "Reverting"


def _is_to_come(situation: Situation, command: Command) -> bool:
    """Whether the step that a promote names is this one or a later one."""
    steps = enumerate(situation.steps.all, 1)
    return any(
        command.names_step(number, step.name) and number >= situation.rollout.step
        for number, step in steps
        if command.step is not None and step.name != CLOSING_NAME
    )


def _explain(situation: Situation, command: Command) -> str:
    if not command.revision:
        return "write <revision>[:<step>]@<unique id>"
    return _REASONS[command.verb](situation, command)


def _explain_promote(situation: Situation, command: Command) -> str:
    elsewhere = _explain_abort(situation, command)
    if elsewhere or situation.steps.is_closing:
        return elsewhere or "it is on its way to 100 % already"
    if command.step is None:
        return "no step holds now: name the step to promote"
    return f"step {command.step} is not to come"


def _explain_abort(situation: Situation, command: Command) -> str:
    if situation.canary is None:
        return "nothing is being rolled out"
    if command.revision != situation.canary.revision:
        return f"revision {situation.canary.revision} is being rolled out, not {command.revision}"
    return "it is being taken back already" if situation.rollout.state == "Reverting" else ""


def _explain_restart(situation: Situation, command: Command) -> str:
    stable = situation.stable.revision if situation.stable else "none"
    return f"revision {stable} is stable, not {command.revision}"


def _explain_retry(_situation: Situation, command: Command) -> str:
    return f"revision {command.revision} was not rejected"


_REASONS: dict[Verb, Callable[[Situation, Command], str]] = {
    "promote": _explain_promote,
    "abort": _explain_abort,
    "retry": _explain_retry,
    "restart": _explain_restart,
    "rollback": _refuse_rollback,
}
