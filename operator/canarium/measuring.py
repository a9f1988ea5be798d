"""Measuring sessions: while a step is judged, one task an object reads its pods and asks the judge.

A session lives as long as the plan asks for the same measurement. What it finds goes into the next
pass over the object, which is asked for at once when the verdict changes.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import aiohttp
import msgspec

from canarium import judge
from canarium.core.actions import Measure
from canarium.core.observed import AnalysisResult, PodRecord
from canarium.core.spec import MetricsEndpoint
from canarium.kube.store import Key
from canarium.sources.pods import Measurement, PodsMeter, PodsSource, PodTarget, make_session

logger = logging.getLogger(__name__)

REPORT_SECONDS = 5.0
"How often an object is looked at for new figures alone; verdicts don't wait for it."
PROBLEMS = 5
"How many pods' troubles are told at once."

Wake = Callable[[Key, bool], None]
"Have an object looked at; True puts it before ordinary work."
FindPods = Callable[[Key], Sequence[PodRecord]]


class Meter(Protocol):
    """What reads both sides' counters; the first reading is only where counting starts."""

    async def measure(
        self, stable: Sequence[PodTarget], canary: Sequence[PodTarget]
    ) -> Measurement:
        """What was answered since the last reading."""


SILENT_READINGS = 5
"After so many readings in a row without a word from any pod, that there is no data is told."


class Session:
    """One object's measuring under one key; the meter and the evidence outlive a change of key."""

    def __init__(
        self,
        measure: Measure,
        meter: Meter,
        analysis: judge.Analysis,
        *,
        find_pods: Callable[[], Sequence[PodRecord]],
        publish: Callable[[AnalysisResult], None],
        now: Callable[[], float] = time.time,
    ) -> None:
        self.measure = measure
        self.meter = meter
        self.analysis = analysis
        self._find_pods = find_pods
        self._publish = publish
        self._now = now
        self._silent = 0

    async def run(self) -> None:
        """Measure until cancelled; what lies before `not_before` is not counted."""
        delay = self.measure.not_before - self._now()
        if delay > 0:
            await asyncio.sleep(delay)
            await self._measure()
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + self.measure.interval_seconds
            await self._read()
            await asyncio.sleep(max(0.0, due - loop.time()))

    async def _read(self) -> None:
        measurement = await self._measure()
        self.analysis = judge.observe(self.analysis, measurement.reading)
        self._silent = 0 if _says_something(measurement) else self._silent + 1
        if self._silent in (0, SILENT_READINGS):
            self._publish(make_result(self.measure.key, self.analysis, measurement))

    async def _measure(self) -> Measurement:
        pods = self._find_pods()
        stable, canary = self.measure.stable, self.measure.canary
        return await self.meter.measure(
            make_targets(pods, stable, self.measure.stable_endpoint) if stable else (),
            make_targets(pods, canary, self.measure.endpoint),
        )


class Measurements:
    """The sessions of all objects, and what each has found so far."""

    def __init__(
        self,
        find_pods: FindPods,
        wake: Wake,
        now: Callable[[], float] = time.time,
        make_meter: Callable[[], Meter] | None = None,
    ) -> None:
        self._make_meter = make_meter or self._make_pods_meter
        self._find_pods = find_pods
        self._wake = wake
        self._now = now
        self._http: aiohttp.ClientSession | None = None
        self._source: PodsSource | None = None
        self._sessions: dict[Key, tuple[Session, asyncio.Task[None]]] = {}
        self._results: dict[Key, AnalysisResult] = {}
        self._reported: dict[Key, float] = {}

    def result(self, key: Key) -> AnalysisResult | None:
        """What the running session has found; None before its first reading."""
        return self._results.get(key)

    def ensure(self, key: Key, measure: Measure | None) -> None:
        """Have exactly this measured from now on, and nothing when it is None."""
        session = self._sessions[key][0] if key in self._sessions else None
        if measure is None:
            self._stop(key)
        elif session is None or session.measure.key != measure.key:
            self._stop(key)
            self._start(key, measure, session)

    async def close(self) -> None:
        """End every session, and the connections to the pods."""
        for key in tuple(self._sessions):
            self._stop(key)
        if self._http is not None:
            await self._http.close()

    def _start(self, key: Key, measure: Measure, before: Session | None) -> None:
        session = Session(
            measure,
            before.meter if before and _is_same_canary(before, measure) else self._make_meter(),
            _begin(measure, before),
            find_pods=lambda: self._find_pods(key),
            publish=lambda result: self._take(key, result),
            now=self._now,
        )
        task = asyncio.create_task(session.run(), name=f"measuring {'/'.join(key)}")
        task.add_done_callback(lambda done: self._note_end(key, done))
        self._sessions[key] = (session, task)

    def _stop(self, key: Key) -> None:
        _session, task = self._sessions.pop(key, (None, None))
        if task is not None:
            task.cancel()
        self._results.pop(key, None)
        self._reported.pop(key, None)

    def _make_pods_meter(self) -> Meter:
        if self._source is None:
            self._http = make_session()
            self._source = PodsSource(self._http)
        return PodsMeter(self._source)

    def _take(self, key: Key, result: AnalysisResult) -> None:
        before, self._results[key] = self._results.get(key), result
        changed = before is None or before.verdict != result.verdict
        due = self._now() - self._reported.get(key, 0.0) >= REPORT_SECONDS
        if changed or due:
            self._reported[key] = self._now()
            self._wake(key, result.verdict == "Fail")

    def _note_end(self, key: Key, task: asyncio.Task[None]) -> None:
        """A session never ends by itself; one that broke is started anew by the next pass."""
        if task.cancelled() or key not in self._sessions or self._sessions[key][1] is not task:
            return
        logger.error("measuring %s broke", "/".join(key), exc_info=task.exception())
        self._stop(key)
        self._wake(key, False)


def make_targets(
    pods: Sequence[PodRecord], revision: str, endpoint: MetricsEndpoint | None
) -> list[PodTarget]:
    """The metrics endpoints of a revision's ready pods; none when it serves no metrics."""
    if endpoint is None:
        return []
    return [
        PodTarget(pod.meta.name, make_url(pod.ip, endpoint), endpoint.profile, revision)
        for pod in pods
        if pod.revision == revision and pod.ready and pod.ip and not pod.meta.deleting
    ]


def make_url(address: str, endpoint: MetricsEndpoint) -> str:
    """Where one pod serves its metrics."""
    host = f"[{address}]" if ":" in address else address
    return f"http://{host}:{endpoint.port}{endpoint.path}"


def make_result(key: str, analysis: judge.Analysis, measurement: Measurement) -> AnalysisResult:
    """What the core gets to see of an analysis."""
    found, rows = judge.verdict(analysis), judge.rows(analysis)
    decisive = next((row for row in rows if row.verdict == found), None)
    return AnalysisResult(
        key=key,
        verdict=found,
        reason=decisive.reason if decisive else "",
        message=f"{decisive.metric}: {decisive.message}" if decisive else "",
        rows=tuple(_dump_row(row) for row in rows),
        state=msgspec.json.encode(judge.dump(analysis)).decode(),
        problems=tuple(f"{e.pod}: {e.message}" for e in measurement.errors[:PROBLEMS]),
    )


def _says_something(measurement: Measurement) -> bool:
    """Whether there is more in it than where counting starts: samples, or pods that failed."""
    reading = measurement.reading
    samples = (reading.stable, reading.canary)
    return bool(measurement.errors) or any(sample is not None for sample in samples)


def _dump_row(row: judge.Row) -> Mapping[str, Any]:
    """A row as status shows it; the API has no floats, so what isn't a count is a string."""
    low, high = row.interval or (None, None)
    figures = {
        "bound": row.bound,
        "testedRatio": row.tested_ratio,
        "intervalLow": low,
        "intervalHigh": high,
        "eValue": row.e_value,
        "failsAt": row.fails_at,
    }
    slow = row.threshold_seconds
    return {
        "metric": row.metric,
        "check": row.check,
        "verdict": row.verdict,
        "reason": row.reason,
        "message": row.message,
        "canaryBad": row.canary_bad,
        "canaryTotal": row.canary_total,
        "stableBad": row.stable_bad,
        "stableTotal": row.stable_total,
        **({"threshold": f"{1000 * slow:.4g}ms"} if slow is not None else {}),
        **{name: f"{figure:.4g}" for name, figure in figures.items() if figure is not None},
    }


def _begin(measure: Measure, before: Session | None) -> judge.Analysis:
    """Go on with the rollout's evidence; after a restart with what status has kept of it."""
    if measure.resume:
        return judge.load(
            _decode(measure.resume), measure.metrics, min_requests=measure.min_requests
        )
    if before is not None and _is_same_trial(before.measure, measure):
        return judge.next_step(before.analysis)
    return judge.start(measure.metrics, min_requests=measure.min_requests)


def _decode(text: str) -> object:
    """What was saved, or None when it isn't JSON, which the judge takes for nothing saved."""
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return None


def _is_same_canary(before: Session, measure: Measure) -> bool:
    return (before.measure.canary, before.measure.endpoint) == (measure.canary, measure.endpoint)


def _is_same_trial(before: Measure, measure: Measure) -> bool:
    return (before.canary, before.stable, before.metrics, before.min_requests) == (
        measure.canary,
        measure.stable,
        measure.metrics,
        measure.min_requests,
    )
