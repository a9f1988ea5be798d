"""What `canarium status` tells: one value out of the objects as the apiserver has them.

Pure. Objects are read as plain JSON and forgivingly, for the operator that wrote them may be older
or newer than this command. Times are seconds since the epoch inside and RFC 3339 in JSON.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from decimal import Context, Decimal
from typing import Any, Literal

from canarium.api import parse_rollout
from canarium.api.modeldeployment.parsing import COPIED_FIELDS
from canarium.api.modeldeployment.strategies import expand
from canarium.core.names import REVISION_LABEL
from canarium.core.spec import Step, make_closing_step
from canarium.core.status import parse_time
from canarium.cost.reading import read_requests
from canarium.cost.usage import ENDED, HeldPod, Readings, Use, compute_use
from canarium.errors import SpecError

Json = Mapping[str, Any]
Role = Literal["Stable", "Canary", "Previous"]
Mark = Literal["Done", "Now", "ToCome", "TakenBack"]

ROLLING = ("Scaling", "Shifting", "Holding", "Reverting")
NOT_ASKED_FOR = "NoAnalysis"
"Why Judged is False where nobody wants anything judged."
_SIX_DIGITS = Context(prec=6)
_ROLES: tuple[tuple[str, Role], ...] = (
    ("stable", "Stable"),
    ("canary", "Canary"),
    ("previous", "Previous"),
)


@dataclass(frozen=True, slots=True)
class PodReport:
    """One pod: `state` is Ready, or in one CamelCase word what it is instead."""

    name: str
    state: str
    ready: bool
    restarts: int
    created_at: float | None


@dataclass(frozen=True, slots=True)
class Revision:
    """A revision that has traffic or pods. `verdicts` are rows of analysis as status has them."""

    role: Role
    revision: str
    version: str
    image: str
    weight: int
    share: int | None
    mirror: int | None
    headers: tuple[str, ...]
    replicas: int
    ready_replicas: int
    restarted_at: float | None
    verdicts: tuple[Json, ...]
    pods: tuple[PodReport, ...] | None
    "None when pods may not be listed."
    use: Use | None = None
    "None when nobody asked for it, or it could not be asked for."


@dataclass(frozen=True, slots=True)
class Stage:
    """A step and how far it has come. `held_seconds` is that of the step that is held now."""

    number: int
    name: str
    mark: Mark
    weight: int
    mirror: int
    headers: tuple[str, ...]
    capacity: str
    hold_seconds: float
    held_seconds: float | None
    approval: bool


@dataclass(frozen=True, slots=True)
class GuardReport:
    """The time in which the previous revision stays warm."""

    seconds: float
    held_seconds: float


@dataclass(frozen=True, slots=True)
class Refusal:
    """A rejected revision, with what its ModelRevision keeps as evidence."""

    revision: str
    version: str
    reason: str
    message: str
    at: float | None
    verdicts: tuple[Json, ...]


@dataclass(frozen=True, slots=True)
class OverrideReport:
    """A person's rollback that holds instead of the spec."""

    revision: str
    instead: str
    at: float | None


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that the tree shows of one ModelDeployment."""

    name: str
    namespace: str
    phase: str
    reason: str
    message: str
    state: str
    url: str
    router: str
    ready: bool
    unready: str
    "Why it is not Ready, if it is not."
    unscaled: str
    "Why nobody scales it as was asked, or who wants to beside."
    unrouted: str
    "Why no router has taken its route, if one was asked."
    unjudged: str
    "Why the canary cannot be judged, if it should be."
    up_to_date: bool
    seen: bool
    "Whether the operator has seen the spec as it is now."
    revisions: tuple[Revision, ...]
    steps: tuple[Stage, ...]
    guard: GuardReport | None
    override: OverrideReport | None
    rejected: tuple[Refusal, ...]


def make_report(
    model: Json,
    records: Sequence[Json],
    pods: Sequence[Json] | None,
    now: float,
    readings: Readings | None = None,
) -> Report:
    """Tell of a ModelDeployment by itself, its ModelRevisions and its pods (None: not allowed).

    With `readings` also what they use and cost.
    """
    metadata, status = model["metadata"], model.get("status") or {}
    rollout, ready = status.get("rollout") or {}, read_condition(model, "Ready")
    return Report(
        name=metadata["name"],
        namespace=metadata.get("namespace", ""),
        phase=status.get("phase", "Unknown"),
        reason=status.get("reason", ""),
        message=status.get("message", ""),
        state=rollout.get("state", ""),
        url=status.get("url", ""),
        router=status.get("router", ""),
        ready=ready.get("status") == "True",
        unready="" if ready.get("status") == "True" else ready.get("message", ""),
        unscaled=_say_untrue(model, "Scaled"),
        unrouted=_say_untrue(model, "Routed"),
        unjudged=_say_untrue(model, "Judged", but=NOT_ASKED_FOR),
        up_to_date=read_condition(model, "UpToDate").get("status") == "True",
        seen=is_seen(model),
        revisions=tuple(_tell_revisions(status, pods, readings)),
        steps=_tell_steps(model, records, now),
        guard=_tell_guard(model, records, now),
        override=_tell_override(status.get("override")),
        rejected=tuple(_tell_rejected(status.get("rejected") or (), records)),
    )


def is_seen(model: Json) -> bool:
    """Whether the status is about the spec as it is now."""
    seen = (model.get("status") or {}).get("observedGeneration")
    return bool(seen == model["metadata"].get("generation"))


def read_condition(model: Json, kind: str) -> Json:
    """One condition; empty when the object hasn't got it."""
    conditions = (model.get("status") or {}).get("conditions") or ()
    return next((one for one in conditions if one.get("type") == kind), {})


def _say_untrue(model: Json, kind: str, but: str = "") -> str:
    """What a condition says that is False, unless for this reason; "" for one that isn't."""
    found = read_condition(model, kind)
    untrue = found.get("status") == "False" and found.get("reason") != but
    return str(found.get("message") or "") if untrue else ""


def read_terms(model: Json, records: Sequence[Json]) -> Json:
    """Steps, analysis and guard that the rollout goes by: copied when it began, or spec's.

    A strategy is expanded into its steps.
    """
    status = model.get("status") or {}
    tried = status.get("canary") or status.get("stable") or {}
    record = find_record(records, tried.get("revision", ""))
    copied = (record.get("status") or {}).get("rollout") or record.get("spec", {}).get("rollout")
    terms: Json = copied or model.get("spec", {}).get("rollout") or {}
    strategy = terms.get("strategy")
    return {**terms, "steps": expand(strategy)} if strategy and "steps" not in terms else terms


def find_record(records: Iterable[Json], revision: str) -> Json:
    """The ModelRevision of a revision; empty when there is none."""
    found = (one for one in records if revision and read_revision(one) == revision)
    return next(found, {})


def read_revision(record: Json) -> str:
    """The id of a ModelRevision, or of a pod: a label."""
    labels = record["metadata"].get("labels") or {}
    return str(labels.get(REVISION_LABEL, ""))


def read_time(text: Any) -> float | None:
    """Seconds since the epoch of a time that may be missing."""
    return parse_time(text) if text else None


def find_held(pods: Iterable[Json]) -> Mapping[str, tuple[HeldPod, ...]]:
    """The pods that hold resources of a node, by their revision."""
    found: dict[str, tuple[HeldPod, ...]] = {}
    for pod in pods:
        spec, phase = pod.get("spec") or {}, (pod.get("status") or {}).get("phase")
        if spec.get("nodeName") and phase not in ENDED:
            about, created_at = pod["metadata"], read_time(pod["metadata"].get("creationTimestamp"))
            key = about.get("namespace", ""), about["name"]
            held = HeldPod(key, spec["nodeName"], read_requests(spec), created_at or 0.0)
            found[read_revision(pod)] = (*found.get(read_revision(pod), ()), held)
    return found


def _tell_revisions(
    status: Json, pods: Sequence[Json] | None, readings: Readings | None
) -> Iterable[Revision]:
    held = find_held(pods or ()) if readings is not None else {}
    for field, role in _ROLES:
        part = status.get(field)
        if part:
            told = _tell_revision(role, part, pods)
            own = held.get(told.revision, ())
            yield (
                told if readings is None else replace(told, use=_round(compute_use(own, readings)))
            )


def _round(use: Use) -> Use:
    """Six digits that matter are enough for eyes and programs; whole numbers stay as they are."""
    exact = ((field.name, getattr(use, field.name)) for field in fields(use))
    parts: dict[str, Any] = {
        name: _SIX_DIGITS.plus(value)
        for name, value in exact
        if isinstance(value, Decimal) and value != value.to_integral_value()
    }
    return replace(use, **parts)


def _tell_revision(role: Role, part: Json, pods: Sequence[Json] | None) -> Revision:
    revision = part["revision"]
    own = None if pods is None else [pod for pod in pods if read_revision(pod) == revision]
    return Revision(
        role=role,
        revision=revision,
        version=part.get("version", ""),
        image=part.get("image", ""),
        weight=part.get("weight", 0),
        share=part.get("share"),
        mirror=part.get("mirror"),
        headers=tell_headers(part.get("headers") or ()),
        replicas=part.get("replicas", 0),
        ready_replicas=part.get("readyReplicas", 0),
        restarted_at=read_time(part.get("restartedAt")),
        verdicts=tuple(part.get("analysis") or ()),
        pods=None if own is None else tuple(_tell_pod(pod) for pod in sorted(own, key=_name)),
    )


def _name(item: Json) -> str:
    return str(item["metadata"]["name"])


def tell_headers(headers: Iterable[Json]) -> tuple[str, ...]:
    """Header matches as people read them: name=value, or name~regular expression."""
    return tuple(
        f"{one['name']}{'~' if one.get('type') == 'RegularExpression' else '='}{one['value']}"
        for one in headers
    )


def _tell_pod(pod: Json) -> PodReport:
    metadata, status = pod["metadata"], pod.get("status") or {}
    containers = status.get("containerStatuses") or ()
    conditions = {one["type"]: one for one in status.get("conditions") or ()}
    ready = conditions.get("Ready", {}).get("status") == "True"
    return PodReport(
        name=metadata["name"],
        state=_tell_state(metadata, status, containers, conditions),
        ready=ready and not metadata.get("deletionTimestamp"),
        restarts=sum(one.get("restartCount", 0) for one in containers),
        created_at=read_time(metadata.get("creationTimestamp")),
    )


def _tell_state(metadata: Json, status: Json, containers: Iterable[Json], conditions: Json) -> str:
    """The one word that says most: why it isn't ready, if it isn't."""
    if metadata.get("deletionTimestamp"):
        return "Terminating"
    if conditions.get("Ready", {}).get("status") == "True":
        return "Ready"
    for container in containers:
        state = container.get("state") or {}
        reason = (state.get("waiting") or state.get("terminated") or {}).get("reason")
        if reason:
            return str(reason)
    scheduled = conditions.get("PodScheduled", {})
    if scheduled.get("status") == "False":
        return str(scheduled.get("reason") or "Unschedulable")
    phase = str(status.get("phase", "Unknown"))
    return status.get("reason") or ("NotReady" if phase == "Running" else phase)


def _tell_steps(model: Json, records: Sequence[Json], now: float) -> tuple[Stage, ...]:
    """The steps of the rollout that is under way; none when nothing is."""
    status = model.get("status") or {}
    rollout = status.get("rollout") or {}
    state, present = rollout.get("state"), rollout.get("step", 0)
    if not (status.get("canary") and state in ROLLING) and state != "Guarding":
        return ()
    if state == "Guarding":
        present = None
    elif not present:
        return ()
    steps = read_steps(read_terms(model, records))
    now_mark: Mark = "TakenBack" if state == "Reverting" else "Now"
    held = compute_held(rollout, now) if state == "Holding" else None
    return tuple(
        _tell_step(number, step, _mark(number, present, now_mark), held)
        for number, step in enumerate(steps, start=1)
    )


def read_steps(terms: Json) -> tuple[Step, ...]:
    """The steps with those that follow by themselves; only 100 when they cannot be read."""
    copied = {name: terms[name] for name in COPIED_FIELDS if name in terms}
    try:
        return parse_rollout(copied).all_steps
    except SpecError:
        return (make_closing_step(),)


def compute_held(rollout: Json, now: float) -> float:
    """Seconds that the step, or the guard, was held so far: see `rollout.situation.clock`."""
    before, verified_at = float(rollout.get("heldSeconds", 0)), read_time(rollout.get("verifiedAt"))
    return before if verified_at is None else before + max(0.0, now - verified_at)


def _mark(number: int, present: int | None, now_mark: Mark) -> Mark:
    if present is None or number < present:
        return "Done"
    return now_mark if number == present else "ToCome"


def _tell_step(number: int, step: Step, mark: Mark, held: float | None) -> Stage:
    percent = f"{step.replicas_percent}%" if step.replicas_percent else ""
    return Stage(
        number=number,
        name=step.name,
        mark=mark,
        weight=step.weight,
        mirror=step.mirror,
        headers=tell_headers(
            {"name": h.name, "value": h.value, "type": h.type} for h in step.headers
        ),
        capacity=str(step.replicas) if step.replicas else percent,
        hold_seconds=step.hold_seconds,
        held_seconds=held if mark == "Now" else None,
        approval=step.approval,
    )


def _tell_guard(model: Json, records: Sequence[Json], now: float) -> GuardReport | None:
    rollout = (model.get("status") or {}).get("rollout") or {}
    if rollout.get("state") != "Guarding":
        return None
    terms = read_terms(model, records)
    given = {"guard": terms["guard"]} if terms.get("guard") else {}
    try:
        seconds = parse_rollout(given).guard_seconds
    except SpecError:
        return None
    return GuardReport(seconds, compute_held(rollout, now))


def _tell_override(override: Json | None) -> OverrideReport | None:
    if not override:
        return None
    return OverrideReport(
        override["revision"], override.get("instead", ""), read_time(override.get("at"))
    )


def _tell_rejected(rejected: Iterable[Json], records: Sequence[Json]) -> Iterable[Refusal]:
    """Last rejected first."""
    for one in reversed(list(rejected)):
        record = find_record(records, one["revision"])
        yield Refusal(
            revision=one["revision"],
            version=one.get("version", ""),
            reason=one.get("reason", ""),
            message=one.get("message", ""),
            at=read_time(one.get("at")),
            verdicts=tuple((record.get("status") or {}).get("evidence") or ()),
        )
