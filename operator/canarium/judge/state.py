"""A running analysis as JSON and back, so that it outlives the operator.

Numbers are rounded towards "no evidence". What happened between the last save and a restart is
lost, never made up.
"""

from collections.abc import Sequence
from math import floor, inf
from typing import Annotated, Any

from msgspec import Meta, Struct, ValidationError, convert, to_builtins

from canarium.judge.analysis import Analysis, Check, CheckKind, start
from canarium.judge.metrics import Metric
from canarium.judge.sequential import BLOCKS_BETWEEN_STARTS, LOG_CEILING, Counts, Evidence

VERSION = 1

_Whole = Annotated[int, Meta(ge=0, le=2**62)]
_Log = Annotated[float, Meta(ge=-1e300, le=LOG_CEILING)]
_Seconds = Annotated[float, Meta(gt=0, le=1e300)]


class _Saved(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A check as it is kept: counts are bad, total of stable and then of the canary."""

    metric: Metric
    check: CheckKind
    logs: tuple[_Log, _Log, _Log, _Log, _Log]
    starts: Annotated[int, Meta(ge=1, le=2**53)]
    blocks: Annotated[int, Meta(ge=0, lt=BLOCKS_BETWEEN_STARTS)]
    counts: tuple[_Whole, _Whole, _Whole, _Whole]
    seen: tuple[_Whole, _Whole]
    failed: bool = False
    open: tuple[_Whole, _Whole, _Whole, _Whole] = (0, 0, 0, 0)
    learned: tuple[_Whole, _Whole] = (0, 0)
    thresholds: tuple[_Seconds, _Seconds] | None = None
    bounds: tuple[_Seconds, ...] = ()
    """The finite ones of the history; its counts have one more, for infinity."""
    history: tuple[_Whole, ...] = ()


def dump(analysis: Analysis) -> dict[str, Any]:
    """Write the state of a running analysis as a few JSON values."""
    checks = [to_builtins(_save(check)) for check in analysis.checks]
    for check in checks:
        check["metric"] = {
            field: given for field, given in check["metric"].items() if given is not None
        }
    return {"version": VERSION, "checks": checks}


def load(
    dumped: object, metrics: Sequence[Metric], alpha: float = 0.01, min_requests: int = 0
) -> Analysis:
    """Carry an analysis on from what `dump` wrote; never raises for what is in it.

    A check of which nothing (or nothing that makes sense) was saved starts anew; so does one
    whose metric has been edited since.
    """
    fresh = start(metrics, alpha, min_requests)
    saved = _read(dumped)
    checks = tuple(saved.get((check.metric, check.kind), check) for check in fresh.checks)
    return Analysis(checks, alpha, min_requests)


def _save(check: Check) -> _Saved:
    history = check.history or ()
    rounded_down = tuple(floor(value * 1e4) / 1e4 for value in check.evidence.logs)
    return _Saved(
        metric=check.metric,
        check=check.kind,
        logs=rounded_down,  # type: ignore[arg-type]  # one for each of the five effects
        starts=check.evidence.starts,
        blocks=check.evidence.blocks,
        failed=check.failed,
        counts=(*_flatten(check.stable), *_flatten(check.canary)),
        seen=(check.stable_seen, check.canary_seen),
        open=(*_flatten(check.open_stable), *_flatten(check.open_canary)),
        learned=_flatten(check.learned),
        thresholds=check.thresholds,
        bounds=tuple(bound for bound, _ in history if bound < inf),
        history=tuple(count for _, count in history),
    )


def _flatten(counts: Counts) -> tuple[int, int]:
    return counts.bad, counts.total


def _read(dumped: object) -> dict[tuple[Metric, CheckKind], Check]:
    if not isinstance(dumped, dict) or dumped.get("version") != VERSION:
        return {}
    saved = dumped.get("checks")
    checks = [_load(each) for each in saved] if isinstance(saved, list) else []
    return {(check.metric, check.kind): check for check in checks if check}


def _load(dumped: object) -> Check | None:
    try:
        saved = convert(dumped, _Saved)
        bounds = (*saved.bounds, inf) if saved.history else saved.bounds
        history = tuple(zip(bounds, saved.history, strict=True))
    except (ValidationError, ValueError):
        # Its absence from the result is what makes the check start anew.
        return None
    return Check(
        saved.metric,
        saved.check,
        Evidence(saved.logs, saved.starts, saved.blocks),
        failed=saved.failed,
        stable=Counts(*saved.counts[:2]),
        canary=Counts(*saved.counts[2:]),
        stable_seen=saved.seen[0],
        canary_seen=saved.seen[1],
        open_stable=Counts(*saved.open[:2]),
        open_canary=Counts(*saved.open[2:]),
        learned=Counts(*saved.learned),
        thresholds=saved.thresholds,
        history=history or None,
    )
