"""What a person's command means for an object as it was just read: which revision, which step.

Pure. A command is bound to that, so it can do nothing to whatever comes later. One that cannot have
an effect is refused here, with what can be done instead.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from canarium.api import parse_deployment
from canarium.cli.exits import Exit
from canarium.cli.objects.status_report import read_revision, read_steps, read_terms
from canarium.core.names import PREFIX
from canarium.core.normalise import canonical_json, normalise_source
from canarium.core.spec import CLOSING_NAME
from canarium.errors import CommandError, SpecError

Json = Mapping[str, Any]

TRYING = ("Scaling", "Shifting", "Holding")


@dataclass(frozen=True, slots=True)
class Order:
    """A command as it is written: `text` is the annotation's value, with an id of its own."""

    verb: str
    revision: str
    step: str
    text: str

    @property
    def annotation(self) -> str:
        """The annotation's name."""
        return PREFIX + self.verb


def make_order(verb: str, revision: str, step: str = "") -> Order:
    """A command with an id that was not used before."""
    target = f"{revision}:{step}" if step else revision
    return Order(verb, revision, step, f"{target}@{secrets.token_hex(6)}")


def bind_promote(
    model: Json, records: Sequence[Json], *, step: str | None, everything: bool
) -> Order:
    """End the hold of a step (the present one if none is named), or go all the way."""
    canary = _read_canary(model)
    if everything:
        return make_order("promote", canary, CLOSING_NAME)
    names = [one.name for one in read_steps(read_terms(model, records))]
    present = _rollout(model).get("step", 0)
    number = present if step is None else _find_step(step, names)
    if number < present:
        raise _refusal(f"step {step} is over: step {present} ({names[present - 1]}) is under way")
    return make_order("promote", canary, str(number))


def _find_step(step: str, names: Sequence[str]) -> int:
    if step in names:
        return names.index(step) + 1
    if step.isdecimal() and 1 <= int(step) <= len(names):
        return int(step)
    raise _refusal(f"there is no step {step}: there are {', '.join(names)}")


def _read_canary(model: Json) -> str:
    """The revision that is being tried."""
    status, state = _status(model), _rollout(model).get("state")
    if state in TRYING and status.get("canary"):
        return str(status["canary"]["revision"])
    if state == "Guarding":
        raise _refusal(f"{_name(status['stable'])} is promoted already; abort takes it back")
    if state == "Reverting" and status.get("canary"):
        raise _refusal(
            f"{_name(status['canary'])} is being taken back: {status.get('message', '')}"
        )
    raise _refusal(f"nothing is being rolled out: {_describe(model)}")


def bind_abort(model: Json) -> Order:
    """Take the canary back, or in the guard the new stable."""
    status = _status(model)
    if _rollout(model).get("state") == "Guarding" and status.get("stable"):
        return make_order("abort", status["stable"]["revision"])
    return make_order("abort", _read_canary(model))


def bind_retry(model: Json, records: Sequence[Json], *, revision: str | None) -> Order:
    """Lift a rejection, or end a rollback: have what the spec names, unless another is named."""
    status = _status(model)
    if _rollout(model).get("state") == "Broken" and status.get("stable") and revision is None:
        return make_order("retry", status["stable"]["revision"])
    if status.get("override") and revision is None:
        return make_order("retry", status["override"]["instead"])
    rejected = {one["revision"]: one for one in status.get("rejected") or ()}
    if not rejected:
        raise _refusal(f"no revision is rejected: {_describe(model)}")
    if revision is not None:
        return make_order("retry", _choose(revision, list(rejected.values()), "rejected"))
    wanted = find_wanted(model, records)
    if wanted in rejected:
        return make_order("retry", wanted)
    known = _list_names(rejected.values())
    raise _refusal(
        f"the revision that the spec names is not rejected; name one with --revision: {known}"
    )


def find_wanted(model: Json, records: Sequence[Json]) -> str:
    """The revision that the spec names, "" when it has no ModelRevision (yet)."""
    try:
        canonical = parse_deployment(model).canonical
    except SpecError as error:
        raise _refusal(f"the spec cannot be carried out, mend it first: {error}") from error
    for record in records:
        if canonical_json(normalise_source(record["spec"]["source"])) == canonical:
            return read_revision(record)
    return ""


def bind_restart(model: Json) -> Order:
    """Replace stable's pods one by one."""
    stable = _status(model).get("stable")
    if not stable:
        raise _refusal(f"there is no stable revision yet: {_describe(model)}")
    return make_order("restart", stable["revision"])


def bind_rollback(records: Sequence[Json], *, to: str) -> Order:
    """Go to a revision in history, by its id (or how it begins) or its version."""
    known = [_read_record(record) for record in records]
    return make_order("rollback", _choose(to, known, "in history"))


def _read_record(record: Json) -> Json:
    source = record.get("spec", {}).get("source") or {}
    version = (source.get("model") or {}).get("version", "")
    return {"revision": read_revision(record), "version": version}


def _choose(text: str, known: Sequence[Json], where: str) -> str:
    """The one revision that a text names, by id, version or the beginning of the id."""
    revisions = [one["revision"] for one in known]
    if text in revisions:
        return text
    matches = [one for one in known if one.get("version") == text]
    matches = matches or [one for one in known if text and one["revision"].startswith(text)]
    if len(matches) == 1:
        return str(matches[0]["revision"])
    if matches:
        raise _refusal(f"{text} may be {_list_names(matches)}: name one by its id")
    raise _refusal(f"no revision {text} is {where}: there is {_list_names(known) or 'none'}")


def _list_names(parts: Any) -> str:
    return ", ".join(_name(part) for part in parts)


def _name(part: Json) -> str:
    version = part.get("version")
    return f"{version} ({part['revision']})" if version else str(part["revision"])


def _describe(model: Json) -> str:
    status = _status(model)
    return f"{status.get('phase', 'Pending')}, {status.get('message') or 'not seen yet'}"


def _status(model: Json) -> Json:
    found: Json = model.get("status") or {}
    return found


def _rollout(model: Json) -> Json:
    found: Json = _status(model).get("rollout") or {}
    return found


def _refusal(message: str) -> CommandError:
    return CommandError(message, Exit.REFUSED)
