"""A person's commands that no state waits for, and why a command has no effect.

What a state takes (promote, abort, retry) is in `rollout.decide.states`.
"""

from __future__ import annotations

from collections.abc import Callable

from canarium.core.commands import VERBS, Command, Verb
from canarium.core.spec import CLOSING_NAME
from canarium.core.status import Status
from canarium.rollout.decide.transitions import (
    clear_rejection,
    go_back,
    lift_override,
    record_command,
    restart,
)
from canarium.rollout.situation.revision import read_account, recall
from canarium.rollout.situation.view import ROLLING, View, rollout_of


def take_orders(view: View, status: Status) -> Status:
    """Restart stable, go back to a revision of the history, or lift that."""
    return _take_rollback(view, _take_retry(view, _take_restart(view, status)))


def _take_restart(view: View, status: Status) -> Status:
    command, stable = view.command("restart", status), status.stable
    if command is None or stable is None or command.revision != stable.revision:
        return status
    return restart(view, record_command(status, command))


def _take_retry(view: View, status: Status) -> Status:
    """A retry of what the spec names ends a rollback; one before the rejection is void."""
    command, override = view.command("retry", status), status.override
    if command is None or rollout_of(status).state == "Broken":
        return status
    if override is not None and command.revision == override.instead:
        return lift_override(record_command(clear_rejection(status, command.revision), command))
    if command.revision in {rejection.revision for rejection in status.rejected}:
        return status
    return record_command(status, command, ignored=_explain(view, status, command))


def _take_rollback(view: View, status: Status) -> Status:
    command = view.command("rollback", status)
    if command is None or _refuse_rollback(view, status, command):
        return status
    status = _overtake_retry(view, status, command)
    return go_back(view, record_command(status, command), command.revision)


def _overtake_retry(view: View, status: Status, rollback: Command) -> Status:
    """A retry that is still waiting is older than the rollback, which it would take back."""
    retry = view.command("retry", status)
    if retry is None or retry.revision == rollback.revision:
        return status
    words = f"a person went back to revision {rollback.revision} before it could be tried"
    return record_command(status, retry, ignored=words)


def _refuse_rollback(view: View, status: Status, command: Command) -> str:
    if view.named is None:
        return "the spec cannot be used: mend it first"
    if recall(view.observed, command.revision) is None:
        return f"there is no revision {command.revision} in the history"
    if account := _find_foreign_account(view, command.revision):
        return (
            f"revision {command.revision} runs as the service account {account}, which the spec"
            " doesn't name: write it into spec.pod.serviceAccountName, or apply that manifest again"
        )
    serves = status.stable is not None and status.stable.revision == command.revision
    rests = status.canary is None and status.previous is None
    return "it serves already" if serves and rests and command.revision == _wanted(view) else ""


def _find_foreign_account(view: View, revision: str) -> str:
    """The account that a revision of the history runs as, unless it is one that anybody may use.

    Who may give the command need not be allowed to use it; whoever wrote what the spec names now
    was asked for that.
    """
    recalled = recall(view.observed, revision)
    if recalled is None or recalled.record is None or view.spec is None:
        return ""
    account = read_account(recalled.record.template)
    named = (view.spec.source.get("pod") or {}).get("serviceAccountName")
    return "" if account in ("", "default", named) else account


def _wanted(view: View) -> str:
    return view.wanted.revision if view.wanted else ""


def dismiss_commands(view: View, status: Status) -> Status:
    """Record the commands that can have no effect any more, so that they never surprise."""
    for verb in VERBS:
        command = view.command(verb, status)
        if command is None or _is_awaited(view, status, command):
            continue
        refused = {rejection.revision for rejection in status.rejected}
        if verb == "retry" and command.revision in refused:
            status = record_command(clear_rejection(status, command.revision), command)
        else:
            status = record_command(status, command, ignored=_explain(view, status, command))
    return status


def _is_awaited(view: View, status: Status, command: Command) -> bool:
    """Whether a command may still have its effect.

    A retry waits for the old pods to go, a promote for the step that it names.
    """
    state = rollout_of(status).state
    if command.verb == "retry" and state == "Rejected":
        return command.revision == _wanted(view)
    if status.canary is None or command.revision != status.canary.revision:
        return False
    if command.verb == "promote":
        return state in ROLLING and _is_to_come(view, status, command)
    return command.verb == "retry" and state == "Reverting"


def _is_to_come(view: View, status: Status, command: Command) -> bool:
    """Whether the step that a promote names is this one or a later one."""
    steps = enumerate(view.steps, 1)
    return any(
        command.names_step(number, step.name) and number >= rollout_of(status).step
        for number, step in steps
        if command.step is not None and step.name != CLOSING_NAME
    )


def _explain(view: View, status: Status, command: Command) -> str:
    if not command.revision:
        return "write <revision>[:<step>]@<unique id>"
    return _REASONS[command.verb](view, status, command)


def _explain_promote(view: View, status: Status, command: Command) -> str:
    elsewhere = _explain_abort(view, status, command)
    if elsewhere or view.is_closing(status):
        return elsewhere or "it is on its way to 100 % already"
    if command.step is None:
        return "no step holds now: name the step to promote"
    return f"step {command.step} is not to come"


def _explain_abort(_view: View, status: Status, command: Command) -> str:
    if status.canary is None:
        return "nothing is being rolled out"
    if command.revision != status.canary.revision:
        return f"revision {status.canary.revision} is being rolled out, not {command.revision}"
    return "it is being taken back already" if rollout_of(status).state == "Reverting" else ""


def _explain_restart(_view: View, status: Status, command: Command) -> str:
    stable = status.stable.revision if status.stable else "none"
    return f"revision {stable} is stable, not {command.revision}"


def _explain_retry(_view: View, _status: Status, command: Command) -> str:
    return f"revision {command.revision} was not rejected"


_REASONS: dict[Verb, Callable[[View, Status, Command], str]] = {
    "promote": _explain_promote,
    "abort": _explain_abort,
    "retry": _explain_retry,
    "restart": _explain_restart,
    "rollback": _refuse_rollback,
}
