"""What revisions use and cost, as Prometheus' metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal

from canarium.cost.usage import RevisionUse, Use
from canarium.telemetry.exposition import render_gauge

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


def render_use(rows: Iterable[RevisionUse]) -> Iterator[bytes]:
    """Gauges of what revisions use; what isn't known has no series."""
    found = tuple(rows)
    for name, text, find in USE if found else ():
        figures = (
            ((row.namespace, row.model, row.revision, row.version), find(row.use)) for row in found
        )
        known = ((labels, float(value)) for labels, value in figures if value is not None)
        yield render_gauge(f"canarium_revision_{name}", text, USE_LABELS, known)
