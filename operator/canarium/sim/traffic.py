"""People's requests: who answers them, how well, and how many nobody answers.

Requests come at a rate and follow the rules that the gateway really works by, or the
leading Service where there is no route. Answers are drawn by version; the real judge counts them.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from urllib.parse import urlsplit

from canarium.core.names import MODEL_LABEL, REVISION_LABEL
from canarium.judge import Reading
from canarium.metrics.counters import Counters, Tracker
from canarium.metrics.kept_counters import KeptCounters
from canarium.metrics.sources.pods import Measurement, PodTarget, ScrapeError
from canarium.sim.apiserver import ApiServer, Change, Key, is_ready, labels_of
from canarium.sim.controllers.endpoints import Endpoints
from canarium.sim.controllers.gateway import Gateway, GatewayRule, main_rule
from canarium.sim.fields import Json

BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, math.inf)
"Upper bounds of the latency histogram, in seconds."
SPREAD = 0.5
"Latencies are lognormal: the standard deviation of their logarithm."


@dataclass(frozen=True, slots=True)
class AnswerPattern:
    """How a version answers: share of errors, median latency, and whether it has metrics."""

    error_rate: float = 0.0
    latency_seconds: float = 0.02
    counted: bool = True


@dataclass(slots=True)
class Count:
    """What one revision answered so far."""

    due: float = 0.0
    "Requests that were sent to it; fractions wait for the next."
    requests: int = 0
    errors: int = 0
    buckets: list[int] = field(default_factory=lambda: [0] * len(BOUNDS))


@dataclass(slots=True)
class Flow:
    """The requests for one model since `since` (epoch seconds), and where they go now."""

    since: float
    rate: float | None = None
    "Requests a second; None for the rate of all."
    shares: dict[str, float] = field(default_factory=dict)
    copies: dict[str, float] = field(default_factory=dict)
    counts: dict[str, Count] = field(default_factory=dict)
    lost: float = 0.0
    "Requests that went where nobody is ready, though somebody was ready elsewhere."


class SimulatedTraffic:
    """The requests for every model."""

    def __init__(
        self,
        server: ApiServer,
        endpoints: Endpoints,
        gateway: Gateway,
        now: Callable[[], float],
        draw: random.Random,
    ) -> None:
        self.rate = 20.0
        "Requests a second for each model of which nothing else is said."
        self._answers: dict[str, AnswerPattern] = {}
        self._flows: dict[Key, Flow] = {}
        self._places: dict[str, tuple[Key, str]] = {}
        self._versions: dict[str, str] = {}
        self._server = server
        self._endpoints = endpoints
        self._gateway = gateway
        self._now = now
        self._draw = draw
        server.listen(self._look)
        gateway.acted = self._turn

    def answer(self, version: str, answers: AnswerPattern | None = None) -> None:
        """From now on a version answers so (well by default)."""
        for flow in self._flows.values():
            self._count(flow)
        self._answers[version] = answers or AnswerPattern()

    def answers(self, version: str) -> AnswerPattern:
        """How a version answers now."""
        return self._answers.get(version, AnswerPattern())

    def offer(self, key: Key, rate: float) -> None:
        """From now on requests for a model come at another rate, in requests a second."""
        if flow := self._flows.get(key):
            self._advance(flow)
            flow.rate = rate

    def rate_of(self, key: Key) -> float:
        """Requests a second that come for a model."""
        flow = self._flows.get(key)
        return self._rate(flow) if flow else 0.0

    def lost(self, key: Key) -> float:
        """How many requests nobody answered, though somebody could have."""
        flow = self._flows[key]
        self._advance(flow)
        return flow.lost

    def served(self, key: Key) -> dict[str, int]:
        """How many requests each revision has been sent."""
        flow = self._flows[key]
        self._count(flow)
        return {revision: count.requests for revision, count in flow.counts.items()}

    def split(self, key: Key) -> dict[str, float]:
        """The share of the requests that each revision is sent now; "" is nobody."""
        if self._server.find("HTTPRoute", key) is not None:
            return self._split_by_rule(key, main_rule(self._gateway.rules(key)))
        service = self._server.find("Service", key)
        return self._split_by_pods(service) if service else {}

    def copies(self, key: Key) -> dict[str, float]:
        """The share of the requests that each revision gets copies of."""
        copies = main_rule(self._gateway.rules(key)).copies
        found = {self._ready_behind(key, name): percent / 100 for name, percent in copies.items()}
        return {revision: share for revision, share in found.items() if revision}

    def meant(self, key: Key) -> dict[str, float]:
        """The share of the requests, with copies, that is meant for each revision, ready or not."""
        if self._server.find("HTTPRoute", key) is None:
            return self._meant_by_service(key)
        rule, shares = main_rule(self._gateway.rules(key)), dict[str, float]()
        for name in {**rule.weights, **rule.copies}:
            service = self._server.find("Service", (key[0], name))
            revision = _selected(service) if service else ""
            share = (rule.share(name) + rule.copies.get(name, 0)) / 100
            shares[revision] = shares.get(revision, 0.0) + share
        return shares

    def _meant_by_service(self, key: Key) -> dict[str, float]:
        service = self._server.find("Service", key)
        if service is None:
            return {}
        revision = _selected(service)
        return {revision: 1.0} if revision else self._split_by_pods(service)

    def read(self, target: PodTarget) -> Count | None:
        """All that was answered by the revision of one pod; None when it doesn't say."""
        place = self._places.get(urlsplit(target.url).hostname or "")
        if place is None:
            return None
        key, revision = place
        if not self._answers_of(revision).counted:
            return None
        flow = self._flows[key]
        self._count(flow)
        return flow.counts.setdefault(revision, Count())

    def _look(self, change: Change) -> None:
        model = labels_of(change.body).get(MODEL_LABEL, "")
        if change.kind == "ModelDeployment":
            if change.type == "DELETED":
                del self._flows[change.key]
            elif change.type == "ADDED":
                self._flows[change.key] = Flow(self._now())
        elif change.kind == "ModelRevision":
            self._versions[_revision(change.body)] = read_version(change.body)
        elif change.kind == "Pod":
            self._note_address(change, (change.key[0], model))
            self._turn((change.key[0], model))
        elif change.kind in ("Service", "HTTPRoute"):
            self._turn((change.key[0], model))

    def _note_address(self, change: Change, key: Key) -> None:
        address = change.body["status"].get("podIP")
        if address and change.type == "DELETED":
            self._places.pop(address, None)
        elif address:
            self._places[address] = key, _revision(change.body)

    def _turn(self, key: Key) -> None:
        """Who is sent what may have changed: count what was, go on with what is."""
        if flow := self._flows.get(key):
            self._advance(flow)
            flow.shares, flow.copies = self.split(key), self.copies(key)

    def _advance(self, flow: Flow) -> None:
        now = self._now()
        requests, flow.since = self._rate(flow) * (now - flow.since), now
        for revision, share in flow.shares.items():
            if revision:
                flow.counts.setdefault(revision, Count()).due += requests * share
            else:
                flow.lost += requests * share
        for revision, share in flow.copies.items():
            flow.counts.setdefault(revision, Count()).due += requests * share

    def _rate(self, flow: Flow) -> float:
        return self.rate if flow.rate is None else flow.rate

    def _count(self, flow: Flow) -> None:
        """Draw the answers to all requests that were sent until now."""
        self._advance(flow)
        for revision, count in flow.counts.items():
            whole = int(count.due)
            if whole:
                count.due -= whole
                self._draw_answers(count, whole, self._answers_of(revision))

    def _draw_answers(self, count: Count, requests: int, answers: AnswerPattern) -> None:
        count.requests += requests
        rate, median = answers.error_rate, answers.latency_seconds
        count.errors += sum(self._draw.random() < rate for _ in range(requests)) if rate else 0
        middle = math.log(median)
        for _ in range(requests):
            seconds = self._draw.lognormvariate(middle, SPREAD)
            count.buckets[next(i for i, bound in enumerate(BOUNDS) if seconds <= bound)] += 1

    def _split_by_rule(self, key: Key, rule: GatewayRule) -> dict[str, float]:
        shares: dict[str, float] = {}
        for name, weight in rule.weights.items():
            if weight:
                revision = self._ready_behind(key, name)
                shares[revision] = shares.get(revision, 0.0) + rule.share(name) / 100
        return shares if self._is_anybody_ready(key) else {}

    def _ready_behind(self, key: Key, name: str) -> str:
        """The revision that a Service leads to, "" when none of its pods is ready."""
        service = self._server.find("Service", (key[0], name))
        pods = self._endpoints.pods_behind(service) if service else []
        ready = next((pod for pod in pods if is_ready(pod)), None)
        return _revision(ready) if ready else ""

    def _split_by_pods(self, service: Json) -> dict[str, float]:
        pods = [pod for pod in self._endpoints.pods_behind(service) if is_ready(pod)]
        shares: dict[str, float] = {}
        for pod in pods:
            revision = _revision(pod)
            shares[revision] = shares.get(revision, 0.0) + 1 / len(pods)
        meta = service["metadata"]
        anybody = self._is_anybody_ready((meta["namespace"], meta["name"]))
        return shares or ({"": 1.0} if anybody else {})

    def _is_anybody_ready(self, key: Key) -> bool:
        return any(map(is_ready, self._endpoints.pods_of(key)))

    def _answers_of(self, revision: str) -> AnswerPattern:
        return self._answers.get(self._versions.get(revision, ""), AnswerPattern())


def read_version(revision: Json) -> str:
    """The version of a ModelRevision: its model's, or else its image's tag."""
    source = revision["spec"]["source"]
    image = source.get("server", {}).get("image", "")
    return str(source.get("model", {}).get("version") or image.rpartition(":")[2])


def _revision(body: Json) -> str:
    return labels_of(body).get(REVISION_LABEL, "")


def _selected(service: Json) -> str:
    """The one revision that a Service selects, "" for none or several."""
    return str((service["spec"].get("selector") or {}).get(REVISION_LABEL, ""))


class CountsMeter:
    """Reads what both revisions have answered since the last reading (`measuring.Meter`).

    All pods of a revision are one here, so the one that is read first stands for all of them.
    """

    def __init__(self, traffic: SimulatedTraffic, now: Callable[[], float]) -> None:
        self._traffic = traffic
        self._now = now
        self._read_at: float | None = None
        self._tracker = Tracker()
        self._kept = KeptCounters({})

    def resume(self, kept: Mapping[str, Counters]) -> None:
        """Count on from where the counters stood."""
        self._kept = KeptCounters(kept)

    async def measure(
        self, stable: Sequence[PodTarget], canary: Sequence[PodTarget]
    ) -> Measurement:
        """What was answered since the last reading; the first one is where counting starts."""
        now = self._now()
        seconds = 0.0 if self._read_at is None else now - self._read_at
        self._read_at = now
        errors = [
            ScrapeError(target.pod, target.revision, "connection refused")
            for target in (*stable, *canary)
            if self._traffic.read(target) is None
        ]
        counted = {**self._count(stable), **self._count(canary)}
        resumed = self._kept.take_up(
            self._tracker, ((name, name, each) for name, each in counted.items())
        )
        reading = Reading(
            seconds,
            self._tracker.compute_sample(self._count(stable)),
            self._tracker.compute_sample(self._count(canary)),
        )
        return Measurement(reading, tuple(errors), (), counted, resumed)

    def _count(self, targets: Sequence[PodTarget]) -> dict[str, Counters]:
        """What a revision has counted, by its name; nothing when none of its pods says."""
        found = next((c for t in targets if (c := self._traffic.read(t)) is not None), None)
        if found is None:
            return {}
        heights = tuple(zip(BOUNDS, accumulate(found.buckets), strict=True))
        return {targets[0].revision: Counters(found.requests, found.errors, heights)}
