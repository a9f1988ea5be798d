"""What one look at /metrics costs: `python -m benchmarks.scrape --models 1000 --deployments 11`.

The models are at rest, each with as many deployments within 30 days as are asked for; the metrics
are the operator's own code.
"""

import argparse
import time

from canarium.core.observed import Meta, ModelObject, RevisionRecord
from canarium.core.status import Condition, RevisionStatus, Rollout, Status
from canarium.telemetry.families import ModelSnapshot
from canarium.telemetry.metrics import Metrics

ROUNDS = 20


def make_view(number: int, deployments: int, now: float) -> ModelSnapshot:
    """A model that serves, and its revisions, the latest first."""
    name = f"model-{number:04d}"
    status = Status(
        phase="Healthy",
        reason="Serving",
        conditions=(Condition("Ready", "True", "Serving"),),
        rollout=Rollout("Idle"),
        stable=RevisionStatus("a12345678", "v1", replicas=3, ready_replicas=3, weight=100),
    )
    model = ModelObject(Meta("bench", name, f"uid-{number}", "1"), None, status=status)
    revisions = (make_revision(name, age, now) for age in range(deployments))
    return ModelSnapshot(model, tuple(revisions))


def make_revision(name: str, age: int, now: float) -> RevisionRecord:
    """A revision that became stable so many hours ago."""
    stable_at = now - 3600 * (age + 1)
    meta = Meta("bench", f"{name}-{age}", f"uid-{name}-{age}", "1", created_at=stable_at - 600)
    outcome = "Superseded" if age else "Stable"
    return RevisionRecord(
        meta,
        f"a12345678{age % 10}",
        "",
        "",
        "",
        f"v{age}",
        outcome=outcome,
        started_at=meta.created_at,
        stable_at=stable_at,
        ended_at=stable_at,
    )


def main() -> None:
    """Render some times and print what one of them took, and its longest part."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, default=1000)
    parser.add_argument("--deployments", type=int, default=1)
    arguments = parser.parse_args()
    views = [
        make_view(number, arguments.deployments, time.time()) for number in range(arguments.models)
    ]
    metrics = Metrics()
    metrics.show_models(lambda: views)
    longest, size, began = 0.0, 0, time.process_time()
    for _ in range(ROUNDS):
        size, since = 0, time.process_time()
        for part in metrics.render():
            longest, since = max(longest, time.process_time() - since), time.process_time()
            size += len(part)
    cpu = (time.process_time() - began) / ROUNDS
    print(f"{arguments.models} models, {arguments.deployments} deployments each in 30 days")
    print(f"/metrics: CPU {1000 * cpu:.0f} ms, {size / 1024:.0f} KiB")
    print(f"the longest part between two turns of others: {1000 * longest:.0f} ms")


if __name__ == "__main__":
    main()
