"""One object's measuring while one step is judged: a task for each source, one judge for all.

Sources are read at their own pace; each reading is judged at once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from canarium import judge
from canarium.core.metrics import MetricQuery
from canarium.core.names import child_name
from canarium.core.observed import AnalysisResult, PodRecord
from canarium.core.plan import GatewayEndpoint, Measure
from canarium.core.spec import MetricsEndpoint
from canarium.core.spec import Protocol as Spoken
from canarium.judge import Counts
from canarium.kube.boundary import Boundary
from canarium.kube.informers.store import Key
from canarium.metrics.counters import Counters
from canarium.metrics.counting import flip
from canarium.metrics.sessions.readers import MetricAnswers, MetricReader
from canarium.metrics.sessions.results import make_result
from canarium.metrics.sources.gateway import Backend, GatewayMeter
from canarium.metrics.sources.pods import Measurement, Missing, PodTarget
from canarium.outbound.auth import NOBODY, Credentials
from canarium.outbound.errors import SourceError, take_for_failed
from canarium.outbound.reach import NotReachedError

PODS, GATEWAY = "Pods", "Gateway"
SESSION = "Session"
"Under which what ended measuring itself is told beside what readers say."
GATEWAY_SECONDS = 2.0
"How often a gateway's counters are read at most: they tell of all that it serves."
SILENT_READINGS = 5
"After so many readings in a row without a word from any pod, that there is no data is told."


class Meter(Protocol):
    """What reads both sides' counters; the first reading is only where counting starts.

    But for pods of which it is told where their counters stood.
    """

    def resume(self, kept: Mapping[str, Counters]) -> None:
        """Count on from here; counters by the identity of the pods' processes."""

    async def measure(
        self, stable: Sequence[PodTarget], canary: Sequence[PodTarget]
    ) -> Measurement:
        """What was answered since the last reading."""


@dataclass(frozen=True, slots=True)
class SessionDeps:
    """What a session works with: where pods are, what reads, who hears of it, what time it is.

    `authorize` reads the credentials in a Secret of the object's namespace, by its name, and raises
    SourceError. `publish` hears of results, `record_reading` of each reading by a query: why it
    failed, or an empty text. `boundary` notes what readers raised though they shouldn't.
    """

    key: Key
    find_pods: Callable[[], Sequence[PodRecord]]
    make_reader: Callable[[Measure, MetricQuery], MetricReader]
    make_gateway_meter: Callable[[GatewayEndpoint], GatewayMeter]
    authorize: Callable[[str], Awaitable[Credentials]]
    publish: Callable[[AnalysisResult], None]
    record_reading: Callable[[MetricQuery, str], None]
    boundary: Boundary = field(default_factory=Boundary)
    now: Callable[[], float] = time.time


@dataclass(slots=True)
class Scrapers:
    """What has begun to count, and goes on with it in the next step."""

    meter: Meter
    readers: dict[MetricQuery, MetricReader] = field(default_factory=dict)
    gateway: GatewayMeter | None = None


class Session:
    """One object's measuring under one key; readers and evidence outlive a change of key."""

    def __init__(
        self,
        measure: Measure,
        deps: SessionDeps,
        scrapers: Scrapers,
        analysis: judge.Analysis,
        experiment: judge.Experiment | None = None,
    ) -> None:
        self.measure = measure
        self.scrapers = scrapers
        self.analysis = analysis
        self.experiment = experiment
        self._deps = deps
        self._counted: Mapping[str, Counters] = {}
        self._silent = 0
        self._problems: dict[str, tuple[str, ...]] = {}
        self._unasked = {metric_query.metric.source for metric_query in measure.metric_queries}
        "Sources that were not asked: not yet, or since their address is refused."
        if measure.gateway is not None:
            self._unasked.add(GATEWAY)

    async def run(self) -> None:
        """Measure until cancelled; what lies before `not_before` is not counted.

        Where nothing can be read (a gateway that doesn't tell revisions apart, say) it waits.
        """
        async with asyncio.TaskGroup() as group:
            group.create_task(_wait_for_ever())
            if self._counts_pods():
                group.create_task(self._read_pods())
            if self.measure.gateway is not None:
                group.create_task(self._read_gateway(self.measure.gateway))
            for metric_query in self.measure.metric_queries:
                group.create_task(self._read_feed(metric_query))

    def update(self, measure: Measure) -> None:
        """Take in what is said of the same step later on: that it is programmed, that it is over.

        What is judged at the end of the hold is judged then, without another reading.
        """
        is_over = measure.hold_over and not self.measure.hold_over
        self.measure = measure
        if is_over and self.analysis.gauges:
            self._publish()

    def _counts_pods(self) -> bool:
        """Whether the servers' own counters are needed: for a metric, or to see them answer."""
        asked = any(metric.source == PODS for metric in self.measure.metrics)
        return asked or (self.measure.gateway is None and self.measure.endpoint is not None)

    async def _read_pods(self) -> None:
        if await self._wait_for_start():
            with suppress(Exception):  # the next reading fails by it too, and says so
                await self._measure_pods()
        await _every(self.measure.interval_seconds, self._judge_pods)

    async def _wait_for_start(self) -> bool:
        """Wait until measuring may begin; whether there was anything to wait for."""
        delay = self.measure.not_before - self._deps.now()
        if delay > 0:
            await asyncio.sleep(delay)
        return delay > 0

    async def _judge_pods(self) -> None:
        # The gateway knows better who was given what: callers may come past it to the pods.
        share = None if self.measure.gateway else self.measure.share
        try:
            measurement = await self._measure_pods()
            share = None if measurement.resumed else share
            self.analysis = judge.observe(self.analysis, measurement.reading, PODS, share)
            self._counted = measurement.counted
        except Exception as error:  # noqa: BLE001 - whatever is raised is this reading's failure
            problem = self._fail(PODS, PODS, error)
            self._problems[PODS] = (problem,)
            self._publish()
            return
        self._problems[PODS] = self._list_problems(measurement, PODS)
        self._silent = 0 if _says_something(measurement) else self._silent + 1
        if self._silent in (0, SILENT_READINGS):
            self._publish()

    async def _measure_pods(self) -> Measurement:
        """Read both revisions. Raises SourceError when the credentials cannot be had."""
        pods, secret = self._deps.find_pods(), self.measure.pods_secret
        who = await self._deps.authorize(secret) if secret else NOBODY
        stable, canary = self.measure.stable, self.measure.canary
        return await self.scrapers.meter.measure(
            self._make_targets(pods, stable, self.measure.stable_endpoint, who) if stable else (),
            self._make_targets(pods, canary, self.measure.endpoint, who),
        )

    def _make_targets(
        self,
        pods: Sequence[PodRecord],
        revision: str,
        endpoint: MetricsEndpoint | None,
        who: Credentials,
    ) -> list[PodTarget]:
        return make_targets(pods, revision, endpoint, who, self.measure.protocol)

    def _list_problems(self, measurement: Measurement, source: str) -> tuple[str, ...]:
        """Why something is missing in a reading: pods that weren't read, and unknown counters."""
        unread = (f"{error.pod}: {error.message}" for error in measurement.errors)
        kinds = {metric.kind for metric in self.measure.metrics if metric.source == source}
        wanted = {"Answers": "ErrorRate" in kinds, "Durations": "Latency" in kinds}
        missing = (each for each in measurement.missing if wanted[each.counts])
        versions = {
            self.measure.canary: self.measure.canary_version,
            self.measure.stable: self.measure.stable_version,
            "": "the gateway",
        }
        unknown = (explain_missing(each, versions.get(each.revision, "")) for each in missing)
        return (*unread, *unknown)

    async def _read_gateway(self, gateway: GatewayEndpoint) -> None:
        if await self._wait_for_start():
            await self._judge_gateway(gateway, counted=False)
        seconds = max(GATEWAY_SECONDS, self.measure.interval_seconds)
        await _every(seconds, lambda: self._judge_gateway(gateway))

    async def _judge_gateway(self, gateway: GatewayEndpoint, *, counted: bool = True) -> None:
        try:
            measurement = await self._measure_gateway(gateway)
            self._unasked.discard(GATEWAY)
            if not counted:
                return
            share = self.measure.share
            self.analysis = judge.observe(self.analysis, measurement.reading, GATEWAY, share)
            self._problems[GATEWAY] = self._list_problems(measurement, GATEWAY)
        except Exception as error:  # noqa: BLE001 - whatever is raised is this reading's failure
            problem = self._fail(GATEWAY, GATEWAY, error)
            self._problems[GATEWAY] = (f"the gateway: {problem}",)
        self._publish()

    async def _measure_gateway(self, gateway: GatewayEndpoint) -> Measurement:
        meter = self.scrapers.gateway or self._deps.make_gateway_meter(gateway)
        self.scrapers.gateway = meter
        stable, canary = self.measure.stable, self.measure.canary
        return await meter.measure(
            self._make_backend(stable) if stable else None, self._make_backend(canary)
        )

    def _make_backend(self, revision: str) -> Backend:
        namespace, model = self._deps.key
        return Backend(namespace, child_name(model, revision), model)

    async def _read_feed(self, metric_query: MetricQuery) -> None:
        await self._wait_for_start()
        await _every(metric_query.interval_seconds, lambda: self._judge_feed(metric_query))

    async def _judge_feed(self, metric_query: MetricQuery) -> None:
        source = metric_query.metric.source
        try:
            self._observe_feed(metric_query, await self._find_reader(metric_query).ask())
            self._problems.pop(source, None)
            self._unasked.discard(source)
            self._deps.record_reading(metric_query, "")
        except Exception as error:  # noqa: BLE001 - whatever is raised is this reading's failure
            problem = self._fail(source, metric_query.metric.name, error)
            self._problems[source] = (f"{metric_query.metric.name}: {problem}",)
            self._deps.record_reading(metric_query, problem)
        self._publish()

    def _find_reader(self, metric_query: MetricQuery) -> MetricReader:
        """Who asks for this metric; the same one as long as possible, for it counts on."""
        readers = self.scrapers.readers
        if metric_query not in readers:
            readers[metric_query] = self._deps.make_reader(self.measure, metric_query)
        return readers[metric_query]

    def _observe_feed(self, metric_query: MetricQuery, answers: MetricAnswers) -> None:
        name = metric_query.metric.name
        self.analysis = _observe(
            self.analysis, name, answers, counts=bool(metric_query.query.total)
        )
        if self.experiment is not None and name == self.measure.experiment:
            self.experiment = _compare(self.experiment, answers)

    def _fail(self, source: str, what: str, error: Exception) -> str:
        """Take what was raised for a failed reading of the source; why it failed, in our words.

        What isn't a reader's own word for it is logged, once until it changes.
        """
        if not isinstance(error, SourceError):
            self._deps.boundary.note("Measuring", f"{'/'.join(self._deps.key)} {what}", error)
        problem = str(take_for_failed(error))
        (self._unasked.add if isinstance(error, NotReachedError) else self._unasked.discard)(source)
        self.analysis = judge.observe_error(self.analysis, source, problem)
        return problem

    def note_end(self, problem: str) -> None:
        """Say why it ended before its time, beside what has been found so far."""
        self._problems[SESSION] = (problem,)
        self._publish()

    def _publish(self) -> None:
        problems = tuple(problem for found in self._problems.values() for problem in found)
        result = make_result(
            self.measure,
            self.analysis,
            self.experiment,
            problems,
            self._counted,
            withheld=bool(self._unasked),
        )
        self._deps.publish(result)


def _observe(
    analysis: judge.Analysis, name: str, answers: MetricAnswers, *, counts: bool
) -> judge.Analysis:
    stable, canary = answers.stable, answers.canary
    if counts:
        return judge.observe_counts(analysis, name, _as_counts(stable), _as_counts(canary))
    return judge.observe_gauge(analysis, name, _as_gauge(stable), _as_gauge(canary))


def _compare(experiment: judge.Experiment, answers: MetricAnswers) -> judge.Experiment:
    """Only what was counted of both over the same time tells which is better."""
    stable, canary = _as_counts(answers.stable), _as_counts(answers.canary)
    if stable is None or canary is None:
        return experiment
    if experiment.higher_is_better:  # good ones are what is counted then
        stable, canary = flip(stable), flip(canary)
    return judge.observe_experiment(experiment, stable, canary)


def _as_counts(figure: Counts | float | None) -> Counts | None:
    return figure if isinstance(figure, Counts) else None


def _as_gauge(figure: Counts | float | None) -> float | None:
    return None if isinstance(figure, Counts) else figure


async def _wait_for_ever() -> None:
    await asyncio.get_running_loop().create_future()


async def _every(seconds: float, do: Callable[[], Awaitable[None]]) -> None:
    """Do it again and again, each time so long after the last began; never twice at once."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + seconds
        await do()
        await asyncio.sleep(max(0.0, due - loop.time()))


def _says_something(measurement: Measurement) -> bool:
    """Whether there is more in it than where counting starts: samples, or pods that failed."""
    reading = measurement.reading
    samples = (reading.stable, reading.canary)
    return bool(measurement.errors) or any(sample is not None for sample in samples)


def make_targets(
    pods: Sequence[PodRecord],
    revision: str,
    endpoint: MetricsEndpoint | None,
    who: Credentials = NOBODY,
    protocol: Spoken = "HTTP",
) -> list[PodTarget]:
    """The metrics endpoints of a revision's ready pods; none when it serves no metrics."""
    if endpoint is None:
        return []
    return [
        PodTarget(
            pod.meta.name,
            make_url(pod.ip, endpoint),
            endpoint.profile,
            revision,
            protocol,
            who.authorization,
            identify(pod),
            pod.meta.namespace,
        )
        for pod in pods
        if pod.revision == revision and pod.ready and pod.ip and not pod.meta.deleting
    ]


def identify(pod: PodRecord) -> str:
    """Name the processes of a pod: what they have counted goes when one of them is restarted."""
    return f"{pod.meta.uid}/{sum(each.restarts for each in pod.containers if not each.init)}"


def explain_missing(missing: Missing, version: str) -> str:
    """Say what isn't counted, and by whom: no data, which is neither zero errors nor silence."""
    whose = version or missing.revision
    if not missing.name:
        return f"{whose}'s servers count no failed answers (profile {missing.profile})"
    return (
        f"{whose}'s metrics have no {missing.name} (profile {missing.profile}):"
        " is it counted under another name?"
    )


def make_url(address: str, endpoint: MetricsEndpoint) -> str:
    """Where one pod serves its metrics."""
    host = f"[{address}]" if ":" in address else address
    return f"http://{host}:{endpoint.port}{endpoint.path}"
