"""What the operator counts about itself, for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

RECONCILE_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


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

    def _count(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(name, text, labels, registry=self.registry)
