"""Who judges: the real measurements on simulated counts, or verdicts that a script says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from canarium.core.observed import AnalysisResult, ExperimentVerdict
from canarium.core.plan import Measure
from canarium.kube.informers.cache import Cache
from canarium.kube.informers.store import Key
from canarium.kube.queues.keys import KindQueue
from canarium.metrics.sessions import Measurements
from canarium.shell.tenants.models import Measuring
from canarium.sim.process import MakeMeasuring
from canarium.sim.traffic import CountsMeter, SimulatedTraffic


def judge_counts(traffic: SimulatedTraffic, now: Callable[[], float]) -> MakeMeasuring:
    """The real measurements and the real judge, on what the simulated pods count."""

    def make(cache: Cache, queue: KindQueue) -> Measuring:
        return Measurements(
            cache.counted_pods,
            lambda key, urgent: queue.add(key, urgent=urgent),
            now=now,
            make_meter=lambda: CountsMeter(traffic, now),
        )

    return make


class Script:
    """Verdicts by version, said in advance or in the middle; a version is good by default."""

    def __init__(self) -> None:
        self._verdicts: dict[str, str] = {}
        self._outcomes: dict[str, ExperimentVerdict] = {}
        self._sessions: list[_Scripted] = []

    def say(self, version: str, verdict: str) -> None:
        """From now on the judge says this (Pass, Fail, Inconclusive, NoData) of a version."""
        self._verdicts[version] = verdict
        for session in self._sessions:
            session.wake_all()

    def decide(self, version: str, outcome: ExperimentVerdict) -> None:
        """From now on an experiment with a version says this; undecided by default."""
        self._outcomes[version] = outcome
        for session in self._sessions:
            session.wake_all()

    def outcome(self, version: str) -> ExperimentVerdict:
        """What an experiment with a version says."""
        return self._outcomes.get(version, "Undecided")

    def verdict(self, version: str) -> str:
        """What is said of a version."""
        return self._verdicts.get(version, "Pass")

    def __call__(self, cache: Cache, queue: KindQueue) -> Measuring:
        """One process's measuring; that of a process that was killed is of no use any more."""
        self._sessions = [_Scripted(self, cache, queue)]
        return self._sessions[0]


class _Scripted:
    """Gives the script's verdict from an interval after the measuring may begin."""

    def __init__(self, script: Script, cache: Cache, queue: KindQueue) -> None:
        self._script = script
        self._cache = cache
        self._queue = queue
        self._loop = asyncio.get_running_loop()
        self._measures: dict[Key, tuple[Measure, float]] = {}

    def ensure(self, key: Key, measure: Measure | None) -> None:
        """Have exactly this judged from now on."""
        known = self._measures.get(key)
        if measure is None:
            self._measures.pop(key, None)
        elif known is None or known[0].key != measure.key:
            self._measures[key] = measure, self._loop.time() + measure.interval_seconds
            self._loop.call_later(measure.interval_seconds, self._queue.add, key)

    def result(self, key: Key) -> AnalysisResult | None:
        """What the script says of the version that is on trial."""
        measure, due = self._measures.get(key, (None, 0.0))
        if measure is None or self._loop.time() < due:
            return None
        records = self._cache.revisions.of(key)
        version = next((r.version for r in records if r.revision == measure.canary), "")
        verdict = self._script.verdict(version)
        rows: tuple[Mapping[str, Any], ...] = ({"metric": "error-rate", "verdict": verdict},)
        reason, words = "ErrorRateTooHigh" if verdict == "Fail" else "", "as the script says"
        outcome = self._script.outcome(version) if measure.experiment else ""
        if outcome:
            row = {"metric": measure.experiment, "check": "experiment", "verdict": outcome}
            rows = (*rows, {**row, "message": words})
        return AnalysisResult(
            measure.key, verdict, reason, words, rows, f"{verdict} {outcome}", experiment=outcome
        )

    def wake_all(self) -> None:
        """Have every object that is judged looked at."""
        for key in self._measures:
            self._queue.add(key, urgent=True)
