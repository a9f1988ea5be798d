"""From the text of a metrics endpoint to counts of answers since the last reading.

Pure. A text is read piece by piece, as it comes, and never held as a whole: it may be anybody's.
Only the lines of a profile's families are read, and what a series means is remembered: a pod
repeats the same series every second with other numbers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from itertools import islice, pairwise
from math import inf
from typing import Literal

from canarium.judge import Buckets, Sample
from canarium.judge.latency import add
from canarium.metrics.recollection import SHARED, Recollection, RecollectionBudget
from canarium.queries.profiles import UNITS, Profile

MAX_SERIES = 5_000
"""Far more than a server writes in earnest; reading more would hold everybody else up."""

MAX_LINE = 32 * 1024
"""Bytes of one line: what a server writes there in earnest has hundreds."""

MAX_LINES = 300_000
"""Of a whole text: more than 16 MiB of ordinary ones."""

MAX_BOUNDS = 256
"""Of a histogram, all its series together."""

MAX_FIGURE = 64
"""Bytes of a number."""

MAX_VALUE = 256
"""How much of a label's value is looked at; a server's own templates of paths are shorter."""

# Possessive throughout (`*+`), so that no line takes longer than its length to be refused.
_LABEL = re.compile(rb"([a-zA-Z_][a-zA-Z0-9_]*+)[ \t]*+=[ \t]*+\"((?:[^\"\\]|\\.)*+)\"")
_SERIES = re.compile(
    rb"(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*+)"
    rb"(?:[ \t]*+\{[ \t]*+(?P<labels>(?:" + _LABEL.pattern + rb"[ \t]*+(?:,[ \t]*+)?)*+)\})?+"
)
_SAMPLE = re.compile(rb"(" + _SERIES.pattern + rb")[ \t]*+(?<=[ \t}])(?P<value>\S++)")
_ESCAPED = re.compile(rb"\\(.)")
_INDENT = re.compile(rb"^[ \t]++", re.MULTILINE)
_UNUSUAL = re.compile(rb"\n[ \t{]")
"What hardly any page has: a line that begins with a blank or a brace."
_LINES_TO_KNOW_BY = 5
_STEP = 16 * 1024
"""Bytes that are looked through until others may have a turn."""
_LINES_AT_ONCE = 64
"""Lines that are understood until others may have one."""


class UnreadableMetricsError(ValueError):
    """A text that counts cannot be taken from; the message says why in a few words."""


@dataclass(frozen=True, slots=True)
class Counters:
    """What a pod has answered since it started; `latency` is None when it has not said.

    With `errors_beside` there is a counter of all requests and one of errors: a failure may be
    counted later than its request, and there may be others' among them. Where `counts_answers` is
    False a counter is missing that answers and errors are told by: 0 stands for where it begins
    then, and is no figure. `missing` are the names of those that are wanted of all these, and
    `missing_duration` that of the histogram, "" where there is one.
    """

    requests: int = 0
    errors: int = 0
    latency: Buckets | None = None
    errors_beside: bool = False
    counts_answers: bool = True
    missing: tuple[str, ...] = field(default=(), compare=False)
    missing_duration: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class _Series:
    """What a series counts: good answers, errors, answers within a bound in seconds, or neither.

    Successes are among answers that are counted in full, and leave the errors over.
    """

    counts: Literal["Answers", "Errors", "Successes", "Within", "NotInference", "NotASeries"]
    bound: float = inf


_Way = Literal["Among", "Beside", "Rest"]
"""How errors are told: among the requests, beside them, or as what of them didn't go well."""


def _find_way(profile: Profile) -> _Way:
    if profile.successes:
        return "Rest"
    return "Beside" if profile.failures and profile.counting == "All" else "Among"


class _Family:
    """The lines of one metric: its samples, or what announces one that has no series yet.

    prometheus_client and its like announce a counter with labels from the start, and write its
    first series with its first event; Go's write nothing at all before.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.prefixes = tuple(name.encode() + end for end in (b"{", b" ", b"\t"))
        self.quoted = b'{"%s"' % name.encode()
        self.announced = _compile_announcement(name)
        # A part of a histogram is announced by its name, and by OpenMetrics a counter is, too.
        plain = re.sub(r"_(?:total|count|bucket)$", "", name)
        self.announced_plain = _compile_announcement(plain)
        self.plain_series = re.compile(rf"^{re.escape(plain)}[{{ \t]".encode(), re.MULTILINE)


class _Presence:
    """Whether a text has a family, as far as it has been read."""

    def __init__(self, family: _Family) -> None:
        self._family = family
        self._is_there = False
        self._is_announced_plain = False
        self._is_plain = False

    def look(self, piece: bytes, samples: Iterable[bytes]) -> None:
        """Look at more of the text; `samples` are those of its lines that may be of the family."""
        family = self._family
        if self._is_there:
            return
        self._is_there = any(line.startswith(family.prefixes) for line in samples) or (
            b"#" in piece and family.announced.search(piece) is not None
        )
        if not self._is_there:
            self._look_for_plain(piece)

    def _look_for_plain(self, piece: bytes) -> None:
        """A plain name stands for it unless that has series of its own: another family then."""
        family = self._family
        if not self._is_announced_plain and b"#" in piece:
            self._is_announced_plain = family.announced_plain.search(piece) is not None
        if not self._is_plain:
            self._is_plain = family.plain_series.search(piece) is not None

    def __bool__(self) -> bool:
        return self._is_there or (self._is_announced_plain and not self._is_plain)


def _compile_announcement(name: str) -> re.Pattern[bytes]:
    line = rf"^#[ \t]+(?:HELP|TYPE)[ \t]+{re.escape(name)}[ \t]"
    return re.compile(line.encode(), re.MULTILINE)


class Parser:
    """Reads the families of one profile, and nothing else, from Prometheus' text format."""

    def __init__(self, profile: Profile, budget: RecollectionBudget = SHARED) -> None:
        self.profile = profile
        buckets = profile.duration and f"{profile.duration}_bucket"
        answers = (profile.requests, profile.failures, profile.successes)
        self.answers = tuple(_Family(name) for name in answers if name)
        self.durations = tuple(_Family(name) for name in (buckets,) if name)
        families = (*self.answers, *self.durations)
        self.prefixes = tuple(prefix for each in families for prefix in each.prefixes)
        self.quoted = tuple(each.quoted for each in families)
        self._buckets = (buckets or "").encode()
        self._failures = (profile.failures or "").encode()
        self._successes = (profile.successes or "").encode()
        self.way = _find_way(profile)
        self.needle = profile.needle.encode()
        self._per_second = UNITS[profile.unit]
        self._error_status = re.compile(profile.error_status)
        self._other_errors = [(name, re.compile(value)) for name, value in profile.other_errors]
        self._labels = [(name, re.compile(value)) for name, value in profile.labels]
        self._routes = re.compile(profile.routes)
        self._not_routes = re.compile(profile.not_routes) if profile.not_routes else None
        self._known = Recollection(self._understand, budget)

    def parse(self, text: bytes) -> Counters:
        """Read the counters of a whole text, as `MetricsPage` does piece by piece.

        Raises UnreadableMetricsError.
        """
        page = self.open()
        for _ in page.feed(text):
            pass
        return get_only(page)

    def open(self) -> MetricsPage:
        """Begin with a text."""
        return MetricsPage((self,))

    def read(self, line: bytes) -> tuple[_Series, int]:
        """What one line counts that is of a family of the profile's."""
        # Nearly every line is a series that is known, a space and a number.
        text, _, value = line.rpartition(b" ")
        series = self._known[text]
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
        if self._successes:
            return _Series(self._leave_over(labels, is_good=matched["name"] == self._successes))
        return _Series(self._judge(labels, is_failure=matched["name"] == self._failures))

    def _leave_over(
        self, labels: Mapping[str, str], *, is_good: bool
    ) -> Literal["Answers", "Successes", "NotInference"]:
        """Say what a series is where those that went well are counted beside all of them."""
        if not is_good:
            return "Answers"
        status = _first(labels, self.profile.status_labels)
        failed = status is not None and self._error_status.search(status)
        return "NotInference" if failed else "Successes"

    def _judge(
        self, labels: Mapping[str, str], *, is_failure: bool
    ) -> Literal["Answers", "Errors", "NotInference"]:
        """Say whether a series of requests counts errors: by its status, or by being one of them.

        What has a counter of failures and isn't one (a client went away) is an answer only where
        it isn't counted as a request already.
        """
        status = _first(labels, self.profile.status_labels)
        if status is None and self.profile.failures is None:
            known = " or ".join(self.profile.status_labels)
            raise UnreadableMetricsError(f"{self.profile.requests} has no label {known}")
        if is_failure and status is None:
            return "Errors"
        if status is not None and self._error_status.search(status):
            return "Errors"
        if any(value.search(labels.get(name, "")) for name, value in self._other_errors):
            return "Errors"
        is_counted_already = is_failure and self.profile.counting != "Successes"
        return "NotInference" if is_counted_already else "Answers"

    def _is_inference(self, labels: Mapping[str, str]) -> bool:
        if not all(value.fullmatch(labels.get(name, "")) for name, value in self._labels):
            return False
        methods, route = self.profile.methods, _first(labels, self.profile.route_labels)
        if methods and labels.get("method", methods[0]) not in methods:
            return False
        if route is None:
            return True
        excluded = self._not_routes is not None and self._not_routes.search(route) is not None
        return not excluded and self._routes.search(route) is not None


class _Counting:
    """What one parser has counted of a text so far."""

    def __init__(self, parser: Parser) -> None:
        self._parser = parser
        self._needle = parser.needle
        self._found: list[tuple[_Series, int]] = []
        self._error: UnreadableMetricsError | None = None

    def read(self, text: bytes, lines: Sequence[bytes]) -> Iterator[None]:
        """Count lines of the families, which are in a text, a step at a time."""
        if self._error is not None or (self._needle and self._needle not in text):
            return
        try:
            yield from self._read(
                [line for line in lines if self._needle in line] if self._needle else lines
            )
        except UnreadableMetricsError as error:
            self._error = UnreadableMetricsError(str(error))

    def _read(self, lines: Sequence[bytes]) -> Iterator[None]:
        if len(self._found) + len(lines) > MAX_SERIES:
            raise UnreadableMetricsError(f"more than {MAX_SERIES} series of one family")
        read = self._parser.read
        for start in range(0, len(lines), _LINES_AT_ONCE):
            self._found += [read(line) for line in lines[start : start + _LINES_AT_ONCE]]
            yield

    def finish(
        self, missing: tuple[str, ...], missing_duration: str
    ) -> Counters | UnreadableMetricsError:
        """The counters, or why there are none."""
        if self._error is not None:
            return self._error
        parser = self._parser
        try:
            counters = _total(self._found, parser.way)
        except UnreadableMetricsError as error:
            return UnreadableMetricsError(str(error))
        return replace(
            counters,
            counts_answers=parser.profile.counts_errors and not missing,
            missing=missing,
            missing_duration=missing_duration,
        )


class MetricsPage:
    """A text that is read piece by piece, as it comes, by one parser or several of one family.

    A family that is announced and has no series counts zero: series appear with their first
    answer. A family that isn't there at all is no zero: the counters say which. Raises
    UnreadableMetricsError for what isn't metrics, or is beyond the bounds.
    """

    def __init__(self, parsers: Sequence[Parser]) -> None:
        first = parsers[0]
        self._first_parser = first
        self._answers = [(each.name, _Presence(each)) for each in first.answers]
        self._durations = [(each.name, _Presence(each)) for each in first.durations]
        self._counts = [_Counting(parser) for parser in parsers]
        self._rest = b""
        self._first: list[bytes] = []
        self._lines = 0

    def feed(self, piece: bytes) -> Iterator[None]:
        """Read on, a step at a time; what is left of the last line waits for its end."""
        whole, ended, rest = piece.rpartition(b"\n")
        if not ended:
            self._keep(self._rest + rest)
            return
        text = self._rest + whole
        self._keep(rest)
        yield from self._read(text)

    def finish(self) -> list[Counters | UnreadableMetricsError]:
        """What the text counts by each parser, now that it was read to its end.

        What makes no sense to one of them is no matter of the others'.
        """
        if self._rest:
            for _ in self._read(self._rest):
                pass
        if not self._first:
            raise UnreadableMetricsError("an empty answer")
        missing = tuple(name for name, is_there in self._answers if not is_there)
        durations = (name for name, is_there in self._durations if not is_there)
        duration = next(durations, "").removesuffix("_bucket")
        return [each.finish(missing, duration) for each in self._counts]

    def _keep(self, rest: bytes) -> None:
        if len(rest) > MAX_LINE:
            raise _make_too_long()
        self._rest = rest

    def _read(self, text: bytes) -> Iterator[None]:
        """Read whole lines, in steps."""
        self._lines += text.count(b"\n") + 1
        if self._lines > MAX_LINES:
            raise UnreadableMetricsError(f"more than {MAX_LINES} lines")
        start = 0
        while start <= len(text):
            end = text.find(b"\n", start + _STEP)
            end = len(text) if end < 0 else end
            yield from self._read_lines(text[start:end])
            start = end + 1
            yield

    def _read_lines(self, text: bytes) -> Iterator[None]:
        is_unusual = text.startswith((b" ", b"\t", b"{")) or _UNUSUAL.search(text) is not None
        text = _INDENT.sub(b"", text) if is_unusual else text
        lines = text.split(b"\n")
        if _may_have_long_lines(text) and max(map(len, lines)) > MAX_LINE:
            raise _make_too_long()
        if len(self._first) < _LINES_TO_KNOW_BY:
            self._check_format(lines)
        found = [line for line in lines if line.startswith(self._first_parser.prefixes)]
        if is_unusual:  # A plain name needs no quotes: it is refused, not passed over.
            found += [line for line in lines if line.startswith(self._first_parser.quoted)]
        del lines  # whoever waits for a turn holds no more than it needs
        for _, presence in (*self._answers, *self._durations):
            presence.look(text, found)
        for each in self._counts:
            yield from each.read(text, found)

    def _check_format(self, lines: Iterable[bytes]) -> None:
        told = (line for line in lines if line.strip())
        for line in islice(told, _LINES_TO_KNOW_BY - len(self._first)):
            if not line.startswith(b"#") and not _SAMPLE.match(line):
                raise UnreadableMetricsError("the answer isn't metrics in Prometheus' text format")
            self._first.append(line[:1])


def get_only(page: MetricsPage) -> Counters:
    """What a text counts that one parser has read. Raises UnreadableMetricsError."""
    (found,) = page.finish()
    if isinstance(found, UnreadableMetricsError):
        raise found
    return found


def _make_too_long() -> UnreadableMetricsError:
    return UnreadableMetricsError(
        f"a line longer than {MAX_LINE // 1024} KiB, which is all that is read of one"
    )


def _may_have_long_lines(text: bytes) -> bool:
    """Whether lines have to be measured one by one: not where each half a length has an end."""
    half = MAX_LINE // 2
    return any(
        text.find(b"\n", start, start + half) < 0 for start in range(0, len(text) - half, half)
    )


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

    def begin_from(self, pod: str, then: Counters) -> bool:
        """Count a pod on from where its counters stood then; whether it isn't counted already."""
        return self._last.setdefault(pod, then) is then

    def forget_others(self, pods: Iterable[str]) -> None:
        """Forget the pods that are no longer among those that are looked at."""
        self._last = {pod: self._last[pod] for pod in pods if pod in self._last}
        self._late = {pod: late for pod, late in self._late.items() if pod in self._last}

    def _compute_increase(self, pod: str, now: Counters) -> Sample:
        if not now.counts_answers:
            latency = compute_increase(self._last[pod], now).latency
            return Sample(None, None, latency)
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


def has_fallen(before: Counters, now: Counters) -> bool:
    """Tell whether anything has that only grows while a process lives."""
    if now.requests < before.requests or now.errors < before.errors:
        return True
    if not now.errors_beside and _has_restarted(before, now):
        return True
    return _has_restarted_histogram(before.latency, now.latency)


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
    """Who doesn't count answers is left out of their sum, as a pod that cannot be read is."""
    return Sample(
        _add_known(first.requests, second.requests),
        _add_known(first.errors, second.errors),
        add(first.latency, second.latency),
    )


def _add_known(first: int | None, second: int | None) -> int | None:
    if first is None or second is None:
        return second if first is None else first
    return first + second


def _read_count(value: bytes) -> int:
    try:
        number = float(value if len(value) <= MAX_FIGURE else b"")
    except ValueError as error:
        figure, tab, _ = value.lstrip().partition(b"\t")
        if tab:  # a timestamp follows
            return _read_count(figure)
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


def _total(counted: Iterable[tuple[_Series, int]], way: _Way) -> Counters:
    totals = {"Answers": 0, "Errors": 0, "Successes": 0, "Within": 0, "NotInference": 0}
    buckets: dict[float, list[int]] = {}
    for series, count in counted:
        totals[series.counts] += count
        if series.counts == "Within":
            buckets.setdefault(series.bound, []).append(count)
    if len(buckets) > MAX_BOUNDS:
        raise UnreadableMetricsError(f"a histogram with more than {MAX_BOUNDS} bounds")
    answers, errors = totals["Answers"], totals["Errors"]
    latency = _add_up(buckets)
    if way == "Beside":
        return Counters(answers, errors, latency, errors_beside=True)
    if way == "Rest":
        return Counters(answers, max(0, answers - totals["Successes"]), latency)
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
