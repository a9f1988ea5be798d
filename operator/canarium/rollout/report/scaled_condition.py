"""The condition Scaled: who says how many pods there are, or why nobody can, and what helps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

from canarium.core.observed import ScalerCondition, ScalerRecord
from canarium.core.plan import SIZING_KINDS
from canarium.resources.autoscalers import KINDS
from canarium.rollout.situation.scaling import (
    choose_engine,
    find_scalers,
    find_unaskable,
    foreign_scalers,
    own_scalers,
)
from canarium.rollout.situation.situation import Situation

Truth = Literal["True", "False", "Unknown"]
Said = tuple[Truth, str, str]
"Truth, reason and message."
_HEALTHY: Mapping[str, str] = {
    "AbleToScale": "True",
    "ScalingActive": "True",
    "Ready": "True",
    "Fallback": "False",
    "Paused": "False",
}
"The conditions of both kinds that say whether they work, and how they read when they do."
_FOREIGN: Mapping[str, str] = {
    "FailedGetExternalMetric": "the metric that it scales by cannot be read",
}
"""Of reasons: words in place of a controller's, which repeat what a server answered whose address
somebody wrote."""
_RESTING = ("ScalingDisabled",)
"Reasons that are none to worry: at zero pods Kubernetes' own autoscaler stands still."


def say_scaled(situation: Situation) -> Said | None:
    """The condition; None where the size is fixed and nobody else wants to set it."""
    spec = situation.spec
    scaled = any(own_scalers(situation)) if spec is None else spec.scaling.is_automatic
    told = (
        _tell_refusals(situation)
        or _tell_conflict(situation)
        or (_tell_engine(situation) if scaled else None)
    )
    return told or _tell_owner(situation)


def _tell_refusals(situation: Situation) -> Said | None:
    for failure in situation.observed.failures:
        if failure.kind in SIZING_KINDS:
            words = f"{failure.kind} {failure.name}: {failure.message}"
            return "False", failure.reason, words
    return None


def _tell_conflict(situation: Situation) -> Said | None:
    others = list(foreign_scalers(situation))
    if not others:
        return None
    names = ", ".join(f"{each.kind} {each.meta.name}" for each in others)
    if others[0].target_kind == "ModelDeployment":
        cure = "set spec.scaling.replicas instead of maxReplicas, or delete it"
        words = f"{names} sizes this ModelDeployment, as spec.scaling does: {cure}"
    else:
        cure = "delete it and use spec.scaling.maxReplicas, or point it at this ModelDeployment"
        words = f"{names} sizes {others[0].target_name}, which Canarium does: {cure}"
    return "False", "ScalerConflict", words


def _tell_engine(situation: Situation) -> Said:
    engine = choose_engine(situation)
    if engine.kind is None or (engine.stays and situation.spec is not None):
        return "False", engine.reason, engine.message
    if situation.stable is not None and (problem := find_unaskable(situation, situation.stable)):
        return "False", "NoQuery", f"revision {situation.stable.revision} is not scaled: {problem}"
    revision = situation.stable.revision if situation.stable else ""
    scaler = next((s for s in find_scalers(situation, revision) if s.kind == engine.kind), None)
    if scaler is None or not scaler.conditions:
        return "Unknown", "Waiting", f"{engine.kind} of revision {revision} has said nothing yet"
    trouble = next(_find_trouble(scaler), None)
    if trouble is not None:
        said = _FOREIGN.get(trouble.reason, trouble.message)
        words = f"{scaler.kind} {scaler.meta.name}: {said}{_cure(scaler, trouble)}"
        return "False", trouble.reason or trouble.type, words
    return "True", KINDS[engine.kind], engine.message


def _find_trouble(scaler: ScalerRecord) -> Iterator[ScalerCondition]:
    for condition in scaler.conditions:
        healthy = _HEALTHY.get(condition.type, condition.status)
        if condition.status not in (healthy, "Unknown") and condition.reason not in _RESTING:
            yield condition


def _cure(scaler: ScalerRecord, trouble: ScalerCondition) -> str:
    if "metrics.k8s.io" in trouble.message or "resource metrics API" in trouble.message:
        return "; is metrics-server installed, and does `kubectl top pods` answer?"
    if trouble.type == "Paused":
        return "; take the annotation autoscaling.keda.sh/paused off it"
    return f"; see kubectl describe {scaler.kind.lower()} {scaler.meta.name}"


def _tell_owner(situation: Situation) -> Said | None:
    """Somebody's own autoscaler on the ModelDeployment, which sets spec.scaling.replicas."""
    for scaler in situation.observed.scalers:
        if (scaler.target_kind, scaler.target_name) == ("ModelDeployment", situation.model):
            words = f"{scaler.kind} {scaler.meta.name} sets spec.scaling.replicas"
            return "True", "ScaleSubresource", words
    return None
