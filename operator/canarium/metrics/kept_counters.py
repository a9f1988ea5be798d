"""Where pods' counters stood when a test's progress was saved, for who takes the test over. Pure.

A counter only grows while its process lives. So who knows where it stood at the last saved reading
knows by the next one what was answered in between, though nobody led and nobody looked. A pod is
known again by its uid and by how often its containers were restarted; one that isn't, or whose
counters have fallen all the same, starts with a baseline.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise
from math import inf
from typing import Annotated, Any

from msgspec import Meta, Struct, ValidationError, convert, to_builtins

from canarium.judge import Buckets
from canarium.metrics.counters import Counters, Tracker, has_fallen

MOST_NUMBERS = 600
"""For all pods together, so that status stays small: twenty pods with thirty buckets each."""

_Count = Annotated[int, Meta(ge=0, le=2**62)]
_Bound = Annotated[float, Meta(gt=0, le=1e300)]


class _Pod(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One pod; `within` are the histogram's counts, the last one up to infinity."""

    id: Annotated[str, Meta(max_length=100)]
    requests: _Count
    errors: _Count
    within: tuple[_Count, ...] = ()
    beside: bool = False


class _Kept(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """All pods of both revisions: those that share the bounds, but for infinity."""

    pods: tuple[_Pod, ...]
    bounds: tuple[_Bound, ...] = ()


class KeptCounters:
    """What was kept, until each pod has been read once: then it is void: nothing counts twice."""

    def __init__(self, kept: Mapping[str, Counters]) -> None:
        self._kept = dict(kept)

    def take_up(self, tracker: Tracker, read: Iterable[tuple[str, str, Counters | None]]) -> bool:
        """Have a tracker count on from what was kept; whether it does for any of these pods.

        `read` are the pods that are looked at: name, identity, and counters (None for one that
        couldn't be read, whose turn is still to come).
        """
        found, later = False, dict[str, Counters]()
        for pod, identity, now in read:
            then = self._kept.get(identity)
            if then is not None and now is None:
                later[identity] = then
            elif then is not None and now is not None:
                found |= _is_same_process(then, now) and tracker.begin_from(pod, then)
        self._kept = later
        return found


def _is_same_process(then: Counters, now: Counters) -> bool:
    """Whether it counts the same things as then, and none of them has fallen since."""
    same = (then.errors_beside, _bounds(then)) == (now.errors_beside, _bounds(now))
    return same and now.counts_answers and not has_fallen(then, now)


def dump_counters(counters: Mapping[str, Counters]) -> Any:
    """Write down the counters of pods, by their identity, as a few JSON values; None for nothing.

    Pods whose histogram has other bounds than the first one's are left out, and so are those for
    which there is no room.
    """
    told = [(name, each) for name, each in counters.items() if name and each.counts_answers]
    if not told:
        return None
    bounds = _bounds(told[0][1])
    most = MOST_NUMBERS // (len(bounds) + 3)
    pods = [_dump(name, each) for name, each in told if _bounds(each) == bounds]
    kept = _Kept(tuple(pods[:most]), tuple(bound for bound in bounds if bound < inf))
    return to_builtins(kept) if kept.pods else None


def load_counters(dumped: object) -> dict[str, Counters]:
    """Read what `dump_counters` wrote; empty for what makes no sense."""
    try:
        kept = convert(dumped, _Kept)
    except ValidationError:
        return {}
    if any(later <= earlier for earlier, later in pairwise(kept.bounds)):
        return {}
    bounds = (*kept.bounds, inf)
    return {
        pod.id: Counters(pod.requests, pod.errors, _load(bounds, pod), errors_beside=pod.beside)
        for pod in kept.pods
        if len(pod.within) in (0, len(bounds))
    }


def _dump(identity: str, counters: Counters) -> _Pod:
    within = tuple(count for _, count in counters.latency or ())
    beside = counters.errors_beside
    return _Pod(identity, counters.requests, counters.errors, within, beside=beside)


def _load(bounds: tuple[float, ...], pod: _Pod) -> Buckets | None:
    return tuple(zip(bounds, pod.within, strict=True)) if pod.within else None


def _bounds(counters: Counters) -> tuple[float, ...]:
    return tuple(bound for bound, _ in counters.latency or ())
