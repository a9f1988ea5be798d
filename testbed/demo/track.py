"""Folds what the witness and the client write down into scenes. No I/O and no clock in here."""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from testbed.demo.gateway_counters import Count, select
from testbed.demo.model_status import ROLES, Told, read_status
from testbed.demo.scene import Notice, Pulse, Role, Row, Scene
from testbed.load.traffic import Answer
from testbed.witness.changes import Change

WINDOW_SECONDS = 8.0
"How much of the past a rate or a latency is taken over."
FEWEST = 5
"Answers below which a latency says nothing."


@dataclass(frozen=True, slots=True)
class Reading:
    """The gateway's counters at one moment, by the gateway's name of the service."""

    at: float
    counts: Mapping[str, Count]


@dataclass(slots=True)
class Track:
    """What is known so far of one model. Times are seconds since the epoch."""

    namespace: str
    model: str
    began: float
    chapter: str = ""
    sent: int = 0
    failed: int = 0
    _first_sent: float | None = None
    _objects: dict[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)
    _notices: list[Notice] = field(default_factory=list)
    _told: set[str] = field(default_factory=set)
    _recent: deque[Answer] = field(default_factory=deque)
    _readings: deque[Reading] = field(default_factory=deque)

    def take_change(self, change: Change) -> None:
        """One row of the witness's log."""
        if change.namespace != self.namespace:
            return
        if change.kind == "Event":
            self._take_event(change)
        elif change.deleted:
            self._objects.pop((change.kind, change.name), None)
        else:
            self._objects[change.kind, change.name] = change.object

    def take_answer(self, answer: Answer) -> None:
        """One row of the client's log."""
        if answer.start is None:
            return
        self._first_sent = self._first_sent or answer.start
        self.sent += 1
        self.failed += not answer.ok
        self._recent.append(answer)

    def take_reading(self, reading: Reading) -> None:
        """The gateway's counters, read just now; an empty reading says nothing."""
        if reading.counts:
            self._readings.append(reading)

    def find(self, kind: str, name: str) -> Mapping[str, Any] | None:
        """The object as it was seen last."""
        return self._objects.get((kind, name))

    @property
    def told(self) -> Told:
        """What the ModelDeployment's status said last."""
        found = self.find("ModelDeployment", self.model)
        return read_status(found) if found else Told()

    @property
    def weights(self) -> dict[str, int]:
        """The live route's weights in percent by revision."""
        route = self.find("HTTPRoute", self.model)
        return read_weights(route, self.model) if route else {}

    def scene(self, now: float) -> Scene:
        """What to show at this moment."""
        self._forget(now - WINDOW_SECONDS)
        told = self.told
        return Scene(
            elapsed=now - self.began,
            chapter=self.chapter,
            name=f"{self.namespace}/{self.model}",
            phase=told.phase,
            reason=told.reason,
            message=told.message,
            step=told.step,
            conditions=tuple(told.conditions.items()),
            rows=tuple(self._make_row(role, told) for role in ROLES if role in told.revisions),
            client=_make_pulse(self._recent, self._span(now)),
            sent=self.sent,
            failed=self.failed,
            notices=tuple(self._notices),
        )

    def _take_event(self, change: Change) -> None:
        event, about = change.object, change.object.get("regarding", {})
        uid = change.metadata["uid"]
        mine = (about.get("kind"), about.get("name")) == ("ModelDeployment", self.model)
        if not mine or change.deleted or uid in self._told:
            return
        self._told.add(uid)
        warning = event.get("type") == "Warning"
        elapsed = change.time - self.began
        self._notices.append(
            Notice(elapsed, warning, event.get("reason", ""), event.get("note", ""))
        )

    def _make_row(self, role: Role, told: Told) -> Row:
        revision, version = told.revisions[role]
        child = f"{self.model}-{revision}"
        deployment = self.find("Deployment", child) or {}
        return Row(
            role=role,
            version=version or revision,
            weight=self.weights.get(revision, 0),
            ready=deployment.get("status", {}).get("readyReplicas", 0),
            replicas=deployment.get("spec", {}).get("replicas", 0),
            pulse=self._pulse_of(child, version),
        )

    def _pulse_of(self, child: str, version: str) -> Pulse:
        """Rate and errors by the gateway's counters, latencies by the client's clock."""
        good = _make_pulse([a for a in self._recent if a.ok and a.version == version], 1.0)
        if len(self._readings) < 2:
            return Pulse(p50=good.p50, p99=good.p99)
        first, last = self._readings[0], self._readings[-1]
        count = select(last.counts, child).since(select(first.counts, child))
        share = count.errors / count.answers if count.answers else None
        return Pulse(count.answers / (last.at - first.at), share, good.p50, good.p99)

    def _span(self, now: float) -> float:
        """Seconds of the window in which the client was sending already."""
        return min(WINDOW_SECONDS, max(1.0, now - (self._first_sent or now)))

    def _forget(self, before: float) -> None:
        while self._recent and (self._recent[0].start or 0.0) < before:
            self._recent.popleft()
        while len(self._readings) > 1 and self._readings[0].at < before:
            self._readings.popleft()


def read_weights(route: Mapping[str, Any], model: str) -> dict[str, int]:
    """The first rule's weights by revision: a backend is called `<model>-<revision>`."""
    rules = route["spec"].get("rules") or [{}]
    return {
        backend["name"].removeprefix(f"{model}-"): backend.get("weight", 1)
        for backend in rules[0].get("backendRefs", [])
    }


def read_versions(changes: Iterable[Change]) -> dict[str, str]:
    """The version of each revision that a ModelDeployment's status ever named."""
    told = (read_status(c.object) for c in changes if c.kind == "ModelDeployment")
    return dict(pair for status in told for pair in status.revisions.values())


def compute_quantile(values: list[float], quantile: float) -> float:
    """The smallest of the sorted values that at least this share doesn't exceed."""
    rank = -int(-(quantile * len(values)) // 1)
    return values[max(rank, 1) - 1]


def _make_pulse(answers: Iterable[Answer], seconds: float) -> Pulse:
    recent = list(answers)
    if not recent:
        return Pulse()
    failed = sum(not answer.ok for answer in recent)
    times = sorted(answer.latency for answer in recent if answer.ok and answer.latency is not None)
    enough = len(times) >= FEWEST
    return Pulse(
        rate=len(recent) / seconds,
        error_share=failed / len(recent),
        p50=compute_quantile(times, 0.5) if enough else None,
        p99=compute_quantile(times, 0.99) if enough else None,
    )
