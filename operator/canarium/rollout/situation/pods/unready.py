"""Pods that run and don't get ready: which of them is asked about, and what is known of it.

Short of a fault: a probe that fails, a volume that is not there, a first crash. All of it is said
while a rollout waits, and when it has waited too long.
"""

from __future__ import annotations

from canarium.core.observed import PodRecord
from canarium.core.plan import Inspect
from canarium.core.status import RevisionStatus
from canarium.core.text import quote
from canarium.rollout.situation.pods.faults import ENDED, describe_restarts
from canarium.rollout.situation.situation import Situation

PATIENCE_SECONDS = 10.0
"A pod that isn't ready by then is asked about; most are."


def find_inspected(situation: Situation) -> Inspect | None:
    """The pod whose events are worth a request: of what is tried, the one that waits longest."""
    tried = situation.canary or situation.stable
    stuck = _list_stuck(situation, tried)
    if not stuck or stuck[0].meta.created_at + PATIENCE_SECONDS > situation.now:
        return None
    return Inspect(stuck[0].meta.name, stuck[0].meta.uid)


def inspected_at(situation: Situation) -> float | None:
    """When there will be a pod to ask about, if it isn't ready by then (epoch seconds)."""
    stuck = _list_stuck(situation, situation.canary or situation.stable)
    return stuck[0].meta.created_at + PATIENCE_SECONDS if stuck else None


def describe_unready(situation: Situation, part: RevisionStatus | None) -> str:
    """What is known of the pods that aren't ready, to follow a sentence; or nothing."""
    stuck, event = _list_stuck(situation, part), situation.observed.pod_event
    restarts = next(filter(None, map(describe_restarts, stuck)), "")
    if restarts:
        return f"; {restarts}"
    if event is None or event.pod not in (pod.meta.name for pod in stuck):
        return ""
    return f"; pod {event.pod}: {event.reason}: {quote(event.message)}"


def _list_stuck(situation: Situation, part: RevisionStatus | None) -> list[PodRecord]:
    """The pods of a revision that have a node and aren't ready, the oldest first."""
    pods = situation.seen.pods(part.revision) if part else []
    stuck = [p for p in pods if p.scheduled and not p.ready and p.phase not in ENDED]
    return sorted(stuck, key=lambda pod: (pod.meta.created_at, pod.meta.name))
