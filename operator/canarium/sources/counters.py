"""From the text of a metrics endpoint to counts of answers since the last reading.

Pure. Only the lines of a profile's families are read, and what a series means is remembered:
a pod repeats the same series every second with other numbers.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache, reduce
from itertools import islice, pairwise
from math import inf
from typing import Literal

from canarium.core.profiles import UNITS, Profile
from canarium.judge import Buckets, Sample
from canarium.judge.latency import add

MAX_SERIES = 5_000
"""Far more than a server writes in earnest; reading more would hold everybody else up."""

MAX_VALUE = 256
"""How much of a label's value is looked at; a server's own templates of paths are shorter."""

# Possessive throughout (`*+`), so that no line takes longer than its length to be refused.
_LABEL = re.compile(rb"([a-zA-Z_][a-zA-Z0-9_]*+)=\"((?:[^\"\\]|\\.)*+)\"")
_SERIES = re.compile(
    rb"(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*+)"
    rb"(?:\{[ \t]*+(?P<labels>(?:" + _LABEL.pattern + rb"[ \t]*+(?:,[ \t]*+)?)*+)\})?+"
)
_SAMPLE = re.compile(rb"(" + _SERIES.pattern + rb")[ \t]*+(?<=[ \t}])(?P<value>\S++)")
_ESCAPED = re.compile(rb"\\(.)")
_LINES_TO_KNOW_BY = 5


class UnreadableMetricsError(ValueError):
    """A text that counts cannot be taken from; the message says why in a few words."""


@dataclass(frozen=True, slots=True)
class Counters:
    """What a pod has answered since it started; `latency` is None when it has not said.

    With `errors_beside` there is a counter of all requests and one of errors: a failure may be
    counted later than its request, and there may be others' among them.
    """

    requests: int = 0
    errors: int = 0
    latency: Buckets | None = None
    errors_beside: bool = False


@dataclass(frozen=True, slots=True)
class _Series:
    """What a series counts: good answers, errors, answers within a bound in seconds, or neither."""

    counts: Literal["Answers", "Errors", "Within", "NotInference", "NotASeries"]
    bound: float = inf


class Parser:
    """Reads the families of one profile, and nothing else, from Prometheus' text format."""

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        buckets = profile.duration and f"{profile.duration}_bucket"
        families = (profile.requests, profile.failures, buckets)
        names = [name.encode() for name in families if name]
        self._prefixes = tuple(name + end for name in names for end in (b"{", b" ", b"\t"))
        self._buckets = (buckets or "").encode()
        self._failures = (profile.failures or "").encode()
        self._errors_beside = bool(profile.failures) and profile.counting == "All"
        self._needle = profile.needle.encode()
        self._per_second = UNITS[profile.unit]
        self._error_status = re.compile(profile.error_status)
        self._labels = [(name, re.compile(value)) for name, value in profile.labels]
        self._routes = re.compile(profile.routes)
        self._not_routes = re.compile(profile.not_routes) if profile.not_routes else None
        self._recall = lru_cache(maxsize=4096)(self._understand)

    def parse(self, text: bytes) -> Counters:
        """Read the counters. A family without series counts zero: it appears with its first answer.

        Raises UnreadableMetricsError for what isn't metrics, or has no sense in it.
        """
        lines = text.split(b"\n")
        _check_format(lines)
        wanted = [line for line in lines if line.startswith(self._prefixes)]
        if self._needle:
            wanted = [line for line in wanted if self._needle in line]
        if len(wanted) > MAX_SERIES:
            raise UnreadableMetricsError(f"more than {MAX_SERIES} series of one family")
        return _total([self._read(line) for line in wanted], self._errors_beside)

    def _read(self, line: bytes) -> tuple[_Series, int]:
        # Nearly every line is a series that is known, a space and a number.
        text, _, value = line.rpartition(b" ")
        series = self._recall(text)
        if series.counts == "NotASeries":
            matched = _SAMPLE.match(line)
            if matched is None:
                raise UnreadableMetricsError("a line that cannot be read")
            series, value = self._understand(matched[1]), matched["value"]
        return series, _read_count(value)

    def _understand(self, text: bytes) -> _Series:
        matched = _SERIES.fullmatch(text)
        if matched is None:
            return _Series("NotASeries")
        labels = {
            key.decode(): _ESCAPED.sub(_unescape, value[:MAX_VALUE]).decode(errors="replace")
            for key, value in _LABEL.findall(matched["labels"] or b"")
        }
        if not self._is_inference(labels):
            return _Series("NotInference")
        if matched["name"] == self._buckets:
            return _Series("Within", _read_bound(labels.get("le")) / self._per_second)
        return _Series(self._judge(labels, is_failure=matched["name"] == self._failures))

    def _judge(
        self, labels: Mapping[str, str], *, is_failure: bool
    ) -> Literal["Answers", "Errors", "NotInference"]:
        """Say whether a series of requests counts errors: by its status, or by being one of them.

        What has a counter of failures and isn't one (a client went away) is an answer only where
        it isn't counted as a request already.
        """
        status = _first(labels, self._profile.status_labels)
        if status is None and self._profile.failures is None:
            known = " or ".join(self._profile.status_labels)
            raise UnreadableMetricsError(f"{self._profile.requests} has no label {known}")
        if is_failure and status is None:
            return "Errors"
        if status is not None and self._error_status.search(status):
            return "Errors"
        is_counted_already = is_failure and self._profile.counting != "Successes"
        return "NotInference" if is_counted_already else "Answers"

    def _is_inference(self, labels: Mapping[str, str]) -> bool:
        if not all(value.fullmatch(labels.get(name, "")) for name, value in self._labels):
            return False
        methods, route = self._profile.methods, _first(labels, self._profile.route_labels)
        if methods and labels.get("method", methods[0]) not in methods:
            return False
        if route is None:
            return True
        excluded = self._not_routes is not None and self._not_routes.search(route) is not None
        return not excluded and self._routes.search(route) is not None


class Tracker:
    """Remembers the counters of each pod, and tells what was answered since it was last asked.

    A pod's first counters are its baseline and tell nothing yet; a pod that was left out once
    starts with a baseline again. Counters that have fallen are those of a process that started
    anew: all that it counted is new.
    """

    def __init__(self) -> None:
        self._last: dict[str, Counters] = {}
        self._late: dict[str, _Late] = {}

    def compute_sample(self, counted: Mapping[str, Counters]) -> Sample | None:
        """Compute what these pods (by name) answered since last time; None when none can tell.

        A pod that couldn't be read is left out of `counted` and loses nothing by it, as long as it
        isn't forgotten.
        """
        known = [
            self._compute_increase(pod, counters)
            for pod, counters in counted.items()
            if pod in self._last
        ]
        self._last.update(counted)
        return reduce(_add_samples, known) if known else None

    def forget_others(self, pods: Iterable[str]) -> None:
        """Forget the pods that are no longer among those that are looked at."""
        self._last = {pod: self._last[pod] for pod in pods if pod in self._last}
        self._late = {pod: late for pod, late in self._late.items() if pod in self._last}

    def _compute_increase(self, pod: str, now: Counters) -> Sample:
        if not now.errors_beside:
            return compute_increase(self._last[pod], now)
        late = self._late.get(pod, _Late())
        sample, self._late[pod] = compute_late_increase(self._last[pod], now, late)
        return sample


@dataclass(frozen=True, slots=True)
class _Late:
    """Of a pod with `errors_beside`: errors still to be told, requests not known to have failed."""

    errors: int = 0
    unsettled: int = 0


def compute_late_increase(before: Counters, now: Counters, late: _Late) -> tuple[Sample, _Late]:
    """Compute what came between two looks at a pod with `errors_beside`.

    Errors beyond the requests of this reading wait for the next one, as long as there were as many
    requests before: more are somebody else's (a failing probe's).
    """
    fallen = now.requests < before.requests or now.errors < before.errors
    if fallen or _has_restarted_histogram(before.latency, now.latency):
        before = Counters()
    requests, failed = now.requests - before.requests, now.errors - before.errors
    unsettled = late.unsettled + requests
    errors = min(late.errors + failed, unsettled)
    told = min(errors, requests)
    latency = _compute_latency(before.latency, now.latency)
    return Sample(requests, told, latency), _Late(errors - told, unsettled - told)


def compute_increase(before: Counters, now: Counters) -> Sample:
    """Compute what one pod answered between two looks at its counters."""
    if _has_restarted(before, now):
        before = Counters()
    latency = _compute_latency(before.latency, now.latency)
    return Sample(now.requests - before.requests, now.errors - before.errors, latency)


def _compute_latency(before: Buckets | None, now: Buckets | None) -> Buckets | None:
    if now is None or before is None:
        return now
    old = dict(before)
    return tuple((bound, count - old[bound]) for bound, count in now if bound in old)


def _has_restarted(before: Counters, now: Counters) -> bool:
    answered_well = now.requests - now.errors < before.requests - before.errors
    if answered_well or now.errors < before.errors:
        return True
    return _has_restarted_histogram(before.latency, now.latency)


def _has_restarted_histogram(before: Buckets | None, now: Buckets | None) -> bool:
    return before is not None and (now is None or _has_fallen(before, now))


def _has_fallen(before: Buckets, now: Buckets) -> bool:
    # Between neighbouring bounds, not up to each: what fell there can hide in the sums.
    old, new = dict(before), dict(now)
    common = [bound for bound in old if bound in new]
    increases = [new[bound] - old[bound] for bound in common]
    return any(upper < lower for lower, upper in pairwise([0, *increases]))


def _add_samples(first: Sample, second: Sample) -> Sample:
    return Sample(
        first.requests + second.requests,
        first.errors + second.errors,
        add(first.latency, second.latency),
    )


def _check_format(lines: list[bytes]) -> None:
    told = (line for line in lines if line.strip())
    first = list(islice(told, _LINES_TO_KNOW_BY))
    if not first:
        raise UnreadableMetricsError("an empty answer")
    if not all(line.startswith(b"#") or _SAMPLE.match(line) for line in first):
        raise UnreadableMetricsError("the answer isn't metrics in Prometheus' text format")


def _read_count(value: bytes) -> int:
    try:
        number = float(value)
    except ValueError as error:
        raise UnreadableMetricsError("a value that isn't a number") from error
    if not 0.0 <= number < 2.0**62:
        raise UnreadableMetricsError("a counter that isn't a count (NaN, infinite or negative)")
    return int(number)


def _read_bound(value: str | None) -> float:
    try:
        bound = float(value or "")
    except ValueError as error:
        raise UnreadableMetricsError("a bucket without a bound") from error
    if not bound > 0.0:
        raise UnreadableMetricsError("a bucket with a bound that isn't a duration")
    return bound


def _total(counted: Iterable[tuple[_Series, int]], errors_beside: bool) -> Counters:
    totals = {"Answers": 0, "Errors": 0, "Within": 0, "NotInference": 0}
    buckets: dict[float, list[int]] = {}
    for series, count in counted:
        totals[series.counts] += count
        if series.counts == "Within":
            buckets.setdefault(series.bound, []).append(count)
    answers, errors = totals["Answers"], totals["Errors"]
    latency = _add_up(buckets)
    if errors_beside:
        return Counters(answers, errors, latency, errors_beside=True)
    return Counters(answers + errors, errors, latency)


def _add_up(buckets: Mapping[float, list[int]]) -> Buckets | None:
    """Add the histograms of all series, by the bounds that every one of them has."""
    if not buckets:
        return None
    series = len(buckets.get(inf, ()))
    if not series:
        raise UnreadableMetricsError("a histogram without a bucket for infinity")
    added = tuple(
        (bound, sum(counts)) for bound, counts in sorted(buckets.items()) if len(counts) == series
    )
    if any(later < earlier for (_, earlier), (_, later) in pairwise(added)):
        raise UnreadableMetricsError("a histogram that isn't cumulative")
    return added


def _first(labels: Mapping[str, str], names: Iterable[str]) -> str | None:
    return next((labels[name] for name in names if name in labels), None)


def _unescape(matched: re.Match[bytes]) -> bytes:
    return b"\n" if matched[1] == b"n" else matched[1]
