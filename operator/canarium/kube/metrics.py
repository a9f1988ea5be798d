"""What the operator counts about itself, and measured of revisions, for Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from canarium.core.use import RevisionUse, Use

RECONCILE_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)

USE_LABELS = ("namespace", "model", "revision", "version")
Figure = Callable[[Use], Decimal | int | None]
USE: tuple[tuple[str, str, Figure], ...] = (
    ("pods", "Pods that hold resources of a node.", lambda use: use.pods),
    ("measured_pods", "Those whose use was measured.", lambda use: use.measured_pods),
    ("cpu_requested_cores", "Requested by all pods.", lambda use: use.requested.cpu_cores),
    ("cpu_used_cores", "Used by the measured pods.", lambda use: use.used_cpu_cores),
    ("memory_requested_bytes", "Requested by all pods.", lambda use: use.requested.memory_bytes),
    ("memory_used_bytes", "Used by the measured pods.", lambda use: use.used_memory_bytes),
    ("gpus_requested", "Requested by all pods.", lambda use: use.requested.gpus or None),
    ("gpus_used", "GPUs at work, of 1 each.", lambda use: use.used_gpus),
    (
        "cost_per_hour",
        "Money for what is requested, or used where that is more.",
        lambda use: use.cost_per_hour,
    ),
    (
        "cost_per_thousand_predictions",
        "Money for 1,000 requests at the present rate.",
        lambda use: use.cost_per_thousand_predictions,
    ),
)
"Of each gauge its name behind canarium_revision_, what it tells, and where it is."


class UseCollector(Collector):
    """Gauges of the revisions that there are now; what isn't known has no series."""

    def __init__(self, read: Callable[[], Iterable[RevisionUse]]) -> None:
        self._read = read

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Tell all gauges."""
        rows = tuple(self._read())
        for name, text, find in USE:
            family = GaugeMetricFamily(f"canarium_revision_{name}", text, labels=USE_LABELS)
            for row in rows:
                value = find(row.use)
                if value is not None:
                    labels = (row.namespace, row.model, row.revision, row.version)
                    family.add_metric(labels, float(value))
            yield family


class Metrics:
    """One registry with everything in it; a process has one, and each test its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.reconcile_seconds = Histogram(
            "canarium_reconcile_duration_seconds",
            "Time that one pass over one object took.",
            buckets=RECONCILE_BUCKETS,
            registry=self.registry,
        )
        self.reconcile_errors = self._count("canarium_reconcile_errors", "Passes that failed.")
        self.requests = self._count(
            "canarium_api_requests", "Requests to the apiserver.", "verb", "resource", "code"
        )
        self.write_failures = self._count(
            "canarium_write_failures", "Writes of children that were refused.", "kind", "reason"
        )
        self.rollouts = self._count(
            "canarium_rollouts", "Rollouts that ended, by how they ended.", "outcome"
        )
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
        self.queue_depth = self._gauge("canarium_queue_depth", "Objects waiting to be worked on.")
        self.cache_age = self._gauge(
            "canarium_cache_age_seconds",
            "Time since the apiserver last said anything about a kind.",
            "resource",
        )
        self.leader = self._gauge("canarium_leader", "1 while this process is the one that acts.")

    def observe_request(self, verb: str, resource: str, code: int) -> None:
        """Count one request to the apiserver; code 0 is one without an answer."""
        self.requests.labels(verb, resource, str(code)).inc()

    def show_use(self, read: Callable[[], Iterable[RevisionUse]]) -> None:
        """Show what revisions use; `read` is asked at each look."""
        self.registry.register(UseCollector(read))

    def _count(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(name, text, labels, registry=self.registry)
