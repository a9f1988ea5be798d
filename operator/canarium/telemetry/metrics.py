"""What the operator counts about itself, and shows of models and revisions, for Prometheus."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from canarium import __version__
from canarium.telemetry.exposition import Sample, render_gauge
from canarium.telemetry.families import FAMILIES, Family, ModelSnapshot

OUTCOMES = ("Stable", "Superseded", "RolledBack", "Canceled")
"Shown from the start, so that the first one is seen to have been counted."
RECONCILE_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
REQUEST_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
WAIT_BUCKETS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)

ReadModels = Callable[[], Iterable[ModelSnapshot] | None]
"All models; None in a process that doesn't act, so that nothing is told twice."
NoteError = Callable[[str, Exception], None]
"Hears about which model what was raised."


def render_models(
    views: Iterable[ModelSnapshot] | None, now: float, note: NoteError
) -> Iterator[bytes]:
    """The families of `telemetry.families`; none of them where another process tells them.

    A model whose series cannot be made has none in that family; `note` hears what was raised.
    """
    found = tuple(views or ())
    for each in FAMILIES if views is not None else ():
        yield _render_family(each, found, now, note)


def _render_family(
    family: Family, views: Sequence[ModelSnapshot], now: float, note: NoteError
) -> bytes:
    try:
        samples: Iterable[Sample] = family.find(views, now)
        return render_gauge(family.name, family.text, family.labels, samples)
    except Exception:  # noqa: BLE001 - whose fault it is, is found out next
        samples = _find_each(family, views, now, note)
        return render_gauge(family.name, family.text, family.labels, samples)


def _find_each(
    family: Family, views: Iterable[ModelSnapshot], now: float, note: NoteError
) -> Iterator[Sample]:
    """The samples of one model after the other, so that one that breaks takes none from others."""
    for view in views:
        try:
            samples = tuple(family.find((view,), now))
            render_gauge(family.name, family.text, family.labels, samples)
            yield from samples
        except Exception as error:  # noqa: BLE001 - see above
            note(f"{view.model.meta.namespace}/{view.model.meta.name}", error)


def _ignore(_about: str, _error: Exception) -> None:
    pass


class Metrics:
    """One registry with everything in it; a process has one, and each test its own."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._read_models: ReadModels = lambda: None
        self._note: NoteError = _ignore
        self._pages: list[Callable[[], Iterable[bytes]]] = []
        # Otherwise a series beside each counter that nobody asks for.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self._add_passes()
        self._add_requests()
        self._add_outcomes()
        self._add_process()

    def _add_passes(self) -> None:
        self.reconcile_seconds = self._measure(
            "canarium_reconcile_duration_seconds",
            "Time that one pass over one object took.",
            RECONCILE_BUCKETS,
        )
        self.queue_wait = self._measure(
            "canarium_queue_wait_seconds",
            "Time from the first news of an object until work on it began.",
            WAIT_BUCKETS,
        )
        self.reconcile_errors = self._count("canarium_reconcile_errors", "Passes that failed.")
        self.internal_errors = self._count(
            "canarium_internal_errors",
            "Exceptions that nobody expected, each kept to the one object that it was about.",
            "part",
        )

    def _add_requests(self) -> None:
        self.requests = self._count(
            "canarium_api_requests", "Requests to the apiserver.", "verb", "resource", "code"
        )
        self.request_seconds = self._measure(
            "canarium_api_request_duration_seconds",
            "Time until the apiserver answered; of a watch, until it began.",
            REQUEST_BUCKETS,
            "verb",
        )
        self.write_failures = self._count(
            "canarium_write_failures", "Writes of children that were refused.", "kind", "reason"
        )
        self.status_writes_delayed = self._count(
            "canarium_status_writes_delayed",
            "Passes that had to wait, since their object's status changed too often.",
        )

    def _add_outcomes(self) -> None:
        self.rollouts = self._count(
            "canarium_rollouts", "Rollouts that ended, by how they ended.", "outcome"
        )
        for outcome in OUTCOMES:
            self.rollouts.labels(outcome)
        self.rollbacks = self._count(
            "canarium_rollbacks", "Revisions that were rejected, by reason.", "reason"
        )
        self.events_dropped = self._count(
            "canarium_events_dropped", "Events that could not be sent to the apiserver."
        )
        self.notifications = self._count(
            "canarium_notifications",
            "Notifications of people, by how they ended.",
            "type",
            "outcome",
        )

    def _add_process(self) -> None:
        self.queue_depth = self._gauge("canarium_queue_depth", "Objects waiting to be worked on.")
        self.cache_age = self._gauge(
            "canarium_cache_age_seconds",
            "Time since the apiserver last said anything about a kind.",
            "resource",
        )
        self.leader = self._gauge("canarium_leader", "1 while this process is the one that acts.")
        self.build = self._gauge(
            "canarium_build_info", "1, with the operator's version.", "version"
        )
        self.build.labels(__version__).set(1)
        ProcessCollector(registry=self.registry)

    def observe_request(self, verb: str, resource: str, code: int, seconds: float) -> None:
        """Count one request to the apiserver; code 0 is one without an answer."""
        self.requests.labels(verb, resource, str(code)).inc()
        self.request_seconds.labels(verb).observe(seconds)

    def show_models(self, read: ReadModels, note: NoteError = _ignore) -> None:
        """Show every model that `read` gives; it is asked at each look.

        `note` hears of models that cannot be shown.
        """
        self._read_models, self._note = read, note

    def add_page(self, render: Callable[[], Iterable[bytes]]) -> None:
        """Show what somebody else renders, in Prometheus' text format; asked at each look."""
        self._pages.append(render)

    def render(self) -> Iterator[bytes]:
        """Everything in Prometheus' text format, in parts between which others may have a turn."""
        yield generate_latest(self.registry)
        yield from render_models(self._read_models(), self._now(), self._note)
        for render in self._pages:
            yield from render()

    def _count(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def _measure(self, name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(name, text, labels, buckets=buckets, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(name, text, labels, registry=self.registry)
