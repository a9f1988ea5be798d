"""What the story came to in figures, out of the witness's and the client's logs alone."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from testbed.demo.model_status import read_status
from testbed.demo.track import read_versions, read_weights
from testbed.load.traffic import Answer, Report
from testbed.witness.changes import Change

SETTLE_SECONDS = 2.5
"How long after a route's write the gateway may still go by the one before."


@dataclass(frozen=True, slots=True)
class Marks:
    """When a person applied v2 and v3, and when it was over, in seconds since the epoch."""

    model: str
    applied_v2: float
    applied_v3: float
    ended: float


@dataclass(frozen=True, slots=True)
class Shift:
    """A write of the route: `weight` is one revision's share in percent from then on."""

    at: float
    weight: int


@dataclass(frozen=True, slots=True)
class Split:
    """A weight that was asked for, and the share (0 to 1) of the answers that came from it."""

    weight: int
    share: float
    answers: int


@dataclass(frozen=True, slots=True)
class Promotion:
    """How v2 got there: seconds since it was applied, and what the client saw meanwhile."""

    seconds_to_full: float | None
    seconds_to_healthy: float | None
    sent: int
    failed: int
    splits: tuple[Split, ...]


@dataclass(frozen=True, slots=True)
class TakingBack:
    """How v3 went: seconds since the first failed answer; None for what never happened."""

    seconds_to_zero: float | None
    seconds_to_last_failure: float | None
    sent: int
    failed: int
    ready_throughout: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Figures:
    """The two halves of the story."""

    promotion: Promotion
    taking_back: TakingBack


def compute_figures(changes: Sequence[Change], report: Report, marks: Marks) -> Figures:
    """Everything that the table at the end shows."""
    return Figures(
        promotion=compute_promotion(changes, report, marks),
        taking_back=compute_taking_back(changes, report, marks),
    )


def compute_promotion(changes: Sequence[Change], report: Report, marks: Marks) -> Promotion:
    """From applying v2 until v3 is applied."""
    seen = report.between(marks.applied_v2, marks.applied_v3)
    shifts = list(find_shifts(changes, marks.model, "v2", marks.applied_v2, marks.applied_v3))
    full = next((shift.at for shift in shifts if shift.weight == 100), None)
    healthy = _first_phase(changes, marks, "Healthy", "v2")
    return Promotion(
        seconds_to_full=_since(marks.applied_v2, full),
        seconds_to_healthy=_since(marks.applied_v2, healthy),
        sent=len(seen.sent),
        failed=len(seen.failures),
        splits=tuple(compute_splits(shifts, report, "v2", marks.applied_v3)),
    )


def compute_taking_back(changes: Sequence[Change], report: Report, marks: Marks) -> TakingBack:
    """From applying v3 until the end."""
    seen = report.between(marks.applied_v3, marks.ended)
    failures = sorted(_answered(answer) for answer in seen.failures)
    first = failures[0] if failures else None
    shifts = list(find_shifts(changes, marks.model, "v3", marks.applied_v3, marks.ended))
    risen = next((i for i, shift in enumerate(shifts) if shift.weight > 0), len(shifts))
    zero = next((shift.at for shift in shifts[risen:] if shift.weight == 0), None)
    return TakingBack(
        seconds_to_zero=_between(first, zero),
        seconds_to_last_failure=_between(first, failures[-1] if failures else None),
        sent=len(seen.sent),
        failed=len(failures),
        ready_throughout=_is_ready_throughout(changes, marks),
        reason=_last_reason(changes, marks),
    )


def find_shifts(
    changes: Sequence[Change], model: str, version: str, begin: float, end: float
) -> Iterator[Shift]:
    """Each change of one version's weight in the live route, from its first above zero."""
    revisions = {rev for rev, named in read_versions(changes).items() if named == version}
    last = 0
    for change in _of(changes, "HTTPRoute", model, begin, end):
        weights = {} if change.deleted else read_weights(change.object, model)
        weight = sum(share for revision, share in weights.items() if revision in revisions)
        if weight != last:
            yield Shift(change.time, weight)
        last = weight


def compute_splits(
    shifts: Sequence[Shift], report: Report, version: str, end: float
) -> Iterator[Split]:
    """The measured share at each weight, from when it has settled until the next write."""
    ends = [*(shift.at for shift in shifts[1:]), end]
    for shift, until in zip(shifts, ends, strict=True):
        seen = report.between(shift.at + SETTLE_SECONDS, until)
        good = [answer for answer in seen.answers if answer.ok]
        if shift.weight > 0 and good:
            yield Split(shift.weight, seen.shares().get(version, 0.0), len(good))


def _of(
    changes: Iterable[Change], kind: str, name: str, begin: float, end: float
) -> Iterator[Change]:
    for change in changes:
        if (change.kind, change.name) == (kind, name) and begin <= change.time < end:
            yield change


def _first_phase(changes: Sequence[Change], marks: Marks, phase: str, version: str) -> float | None:
    found = _of(changes, "ModelDeployment", marks.model, marks.applied_v2, marks.applied_v3)
    for change in found:
        told = read_status(change.object)
        if told.current and told.phase == phase and told.version("stable") == version:
            return change.time
    return None


def _is_ready_throughout(changes: Sequence[Change], marks: Marks) -> bool:
    found = _of(changes, "ModelDeployment", marks.model, marks.applied_v3, marks.ended)
    states = [read_status(change.object).conditions.get("Ready") for change in found]
    return bool(states) and set(states) == {"True"}


def _last_reason(changes: Sequence[Change], marks: Marks) -> str:
    found = list(_of(changes, "ModelDeployment", marks.model, marks.applied_v3, marks.ended))
    told = read_status(found[-1].object) if found else None
    return told.reason if told and told.conditions.get("Stalled") == "True" else ""


def _answered(answer: Answer) -> float:
    return (answer.start or 0.0) + (answer.latency or 0.0)


def _since(begin: float, end: float | None) -> float | None:
    return None if end is None else end - begin


def _between(begin: float | None, end: float | None) -> float | None:
    return None if begin is None or end is None else end - begin
