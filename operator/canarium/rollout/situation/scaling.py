"""Who says how many pods a revision has: the spec, or an autoscaler of its own above a floor.

Nothing is computed here that an autoscaler computes. What is decided is which one it is, and the
floor that it may not go below: the smallest size at rest, and in a rollout what the step needs.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from canarium.core.allowed_addresses import find_place, find_unlisted, names_own_service, spell_out
from canarium.core.lending import may_be_same_server
from canarium.core.names import child_name
from canarium.core.observed import DeploymentRecord, ScalerRecord
from canarium.core.plan import ScalerKind
from canarium.core.spec import Scaling
from canarium.core.status import RevisionStatus
from canarium.memo import remember
from canarium.queries.promql_selectors import confine
from canarium.queries.scaling import make_query
from canarium.resources.autoscalers import KINDS, RESOURCES, find_kind
from canarium.rollout.situation.situation import Situation
from canarium.rollout.situation.stages import AT_REST, ROLLING

BY_LOAD = ("Idle", "Rejected")
"The states in which nothing but the load says how many pods stable has."
HALF = 50
"Percent of the traffic from which on the canary's size says more of the load than stable's."
FLOOR_FIELDS: dict[ScalerKind, str] = {
    "HorizontalPodAutoscaler": "minReplicas",
    "ScaledObject": "minReplicaCount",
}
CEILING_FIELDS: dict[ScalerKind, str] = {
    "HorizontalPodAutoscaler": "maxReplicas",
    "ScaledObject": "maxReplicaCount",
}


@dataclass(frozen=True, slots=True)
class Engine:
    """The kind of autoscaler in use, None for none, and in a CamelCase word and a sentence why.

    Where it `stays`, those that are there stay as they are but for their floors, and none is made.
    """

    kind: ScalerKind | None
    reason: str
    message: str
    stays: bool = False


def choose_engine(situation: Situation) -> Engine:
    """Which autoscaler serves what was asked for; with a spec of no use, the one that is there."""
    spec = situation.spec
    if spec is None:
        kinds = {scaler.kind for scaler in own_scalers(situation)}
        return Engine(min(kinds, default=None), "InvalidSpec", "stays as it is", stays=True)
    if not spec.scaling.is_automatic:
        return Engine(None, "Fixed", "spec.scaling.replicas says how many pods there are")
    if spec.scaling.engine == "None":
        return Engine(None, "NoEngine", "spec.scaling.engine is None: nothing is scaled")
    return _choose(situation, spec.scaling)


def _choose(situation: Situation, scaling: Scaling) -> Engine:
    kind = find_kind(scaling)
    if kind not in situation.observed.scaler_kinds:
        return _explain_missing(scaling, kind)
    asked = [metric.name for metric in scaling.metrics if metric.type not in RESOURCES]
    if asked and not prometheus_url(situation):
        words = f"{', '.join(asked)}: nobody to ask; set spec.scaling.prometheus.address"
        return Engine(None, "NoPrometheus", f"{words}, or start the operator with --prometheus-url")
    if asked and (problem := _find_refusal(situation)):
        return _refuse(situation, kind, f"{', '.join(asked)}: {problem}")
    return Engine(kind, KINDS[kind], f"{kind}, {_range(scaling)}")


def _refuse(situation: Situation, kind: ScalerKind, words: str) -> Engine:
    """What was made while the address was not refused goes on, or an upgrade would end scaling.

    But not what asks a Service that has become another one's name.
    """
    left = any(scaler.kind == kind for scaler in own_scalers(situation))
    if left and not situation.observed.scaling_service:
        words += "; what scales already goes on, and is made for no other revision"
        return Engine(kind, "AddressRefused", words, stays=True)
    return Engine(None, "AddressRefused", words)


def _range(scaling: Scaling) -> str:
    return f"{scaling.min_replicas} to {scaling.max_replicas} pods a revision"


def _explain_missing(scaling: Scaling, kind: ScalerKind) -> Engine:
    if kind == "HorizontalPodAutoscaler":
        words = "the operator may not see HorizontalPodAutoscalers (autoscaling/v2): grant it"
        return Engine(None, "HPANotVisible", words)
    asked = [metric.name for metric in scaling.metrics if metric.type not in RESOURCES]
    why = f"metrics {', '.join(asked)}" if asked else "minReplicas 0"
    if scaling.engine == "KEDA":
        why = "engine KEDA"
    words = f"{why} needs KEDA, which is not installed (or the operator may not see ScaledObjects)"
    return Engine(None, "KEDANotInstalled", f"{words}: install it, or scale by CPU and Memory")


def prometheus_url(situation: Situation) -> str:
    """Whom autoscalers ask for what Kubernetes doesn't measure; "" for nobody.

    A Service of the own namespace is written in full, for KEDA runs in another one.
    """
    address, observed = (
        situation.spec.scaling.prometheus_url if situation.spec else "",
        situation.observed,
    )
    if not address:
        return observed.prometheus_url
    return spell_out(address, observed.model.meta.namespace, observed.addresses)


def _find_refusal(situation: Situation) -> str:
    """Why an address that the object writes is not given to KEDA, which connects by itself."""
    address, observed = (
        situation.spec.scaling.prometheus_url if situation.spec else "",
        situation.observed,
    )
    if not address or find_place(address) == find_place(observed.prometheus_url):
        return ""
    namespace = observed.model.meta.namespace
    if names_own_service(address, namespace, observed.addresses):
        objection, cure = observed.scaling_service, "list it in addresses.allow, with its namespace"
        return f"its Service {objection}: {cure}" if objection else ""
    return find_unlisted(address, namespace, observed.addresses)


def make_queries(situation: Situation, part: RevisionStatus) -> dict[str, str]:
    """What is asked of Prometheus for a revision, by the metric's name.

    Raises ValueError, with what to write instead, for what its server doesn't count.
    """
    record, meta = situation.seen.record(part), situation.observed.model.meta
    profile = record.metrics.profile if record and record.metrics else ""
    where = {"namespace": meta.namespace, "model": meta.name, "revision": part.revision}
    stored = situation.with_status(situation.observed.model.status)
    protocol = stored.traffic.protocol
    metrics = situation.spec.scaling.metrics if situation.spec else ()
    asked = (metric for metric in metrics if metric.type not in RESOURCES)
    queries = {
        metric.name: make_query(metric, profile, protocol=protocol, **where) for metric in asked
    }
    if not _is_lent(situation):
        return queries
    theirs = {metric.name for metric in metrics if metric.type == "External"}
    return {
        name: _confine(text, meta.namespace) if name in theirs else text
        for name, text in queries.items()
    }


_confine = remember()(confine)
"It is asked for in each pass."


def _is_lent(situation: Situation) -> bool:
    """Whether queries of the object's own are put to the operator's Prometheus, by KEDA."""
    shared = situation.observed.prometheus_url
    if not shared or situation.observed.tenant_queries == "Any":
        return False
    return may_be_same_server(prometheus_url(situation), shared)


def find_unaskable(situation: Situation, part: RevisionStatus) -> str:
    """Why a revision's load cannot be asked for; "" when it can.

    The spec is checked as it comes in, but what serves may be another server.
    """
    try:
        make_queries(situation, part)
    except ValueError as error:
        return str(error)
    return ""


# The autoscalers that are there


def own_scalers(situation: Situation) -> Iterator[ScalerRecord]:
    """Those that we made."""
    uid = situation.observed.model.meta.uid
    for scaler in situation.observed.scalers:
        if scaler.meta.owner is not None and scaler.meta.owner.uid == uid:
            yield scaler


def find_scalers(situation: Situation, revision: str) -> list[ScalerRecord]:
    """A revision's own: one, and for moments two while another engine takes over."""
    name = child_name(situation.model, revision)
    return [scaler for scaler in own_scalers(situation) if scaler.meta.name == name]


def foreign_scalers(situation: Situation) -> Iterator[ScalerRecord]:
    """Those that somebody else made, and that want to size what we do.

    KEDA's own HorizontalPodAutoscaler of a ScaledObject of ours is none of them.
    """
    ours = {scaler.meta.uid for scaler in own_scalers(situation)}
    names = {deployment.meta.name for deployment in situation.observed.deployments}
    automatic = situation.spec is not None and situation.spec.scaling.is_automatic
    for scaler in situation.observed.scalers:
        owner = scaler.meta.owner.uid if scaler.meta.owner else ""
        if scaler.meta.uid in ours or owner in ours or scaler.meta.deleting:
            continue
        sized = scaler.target_kind == "Deployment" and scaler.target_name in names
        if sized or (scaler.target_kind == "ModelDeployment" and automatic):
            yield scaler


def read_floor(scaler: ScalerRecord) -> int:
    """The smallest size that a live autoscaler may choose; both kinds have their default."""
    default = 1 if scaler.kind == "HorizontalPodAutoscaler" else 0
    found = json.loads(scaler.spec).get(FLOOR_FIELDS[scaler.kind])
    return default if found is None else int(found)


# Sizes


def compute_floor(situation: Situation, part: RevisionStatus) -> int:
    """The size that a revision's autoscaler may not go below.

    What the load says counts only at rest; else what was fixed on entering the step, and for what
    one would go back to its peak.
    """
    if situation.rollout.state not in BY_LOAD:
        return part.replicas
    return situation.spec.scaling.min_replicas if situation.spec else 0


def compute_size(situation: Situation, part: RevisionStatus) -> int:
    """How many pods a revision should be given by us; what its autoscaler adds stays.

    Also while one is still to be made, or to go: whoever takes over finds the size as it is. In a
    rollout nothing is taken even where there is none: it may have been there a moment ago.
    """
    deployment = situation.seen.deployment(part.revision)
    if deployment is None or is_pinned(situation):
        return part.replicas
    if not _is_shared(situation, part):
        exact = situation.rollout.state in AT_REST or situation.terms.capacity == "InPlace"
        return part.replicas if exact else max(part.replicas, deployment.replicas)
    return max(compute_floor(situation, part), deployment.replicas)


def is_pinned(situation: Situation) -> bool:
    """Whether pods are being replaced in place: what one revision gets, another has to give."""
    state = situation.rollout.state
    return situation.terms.capacity == "InPlace" and state in (*ROLLING, "Reverting")


def _is_shared(situation: Situation, part: RevisionStatus) -> bool:
    """Whether an autoscaler has a say in a revision's size."""
    return choose_engine(situation).kind is not None or bool(find_scalers(situation, part.revision))


def stable_size(situation: Situation, stable: RevisionStatus, *, rests: bool) -> int:
    """The size that stable has by the spec, or by its load.

    At rest it follows; while a rollout is under way it only grows. Without an autoscaler to serve
    what was asked it stays as it is, but for the smallest size.
    """
    spec, seen = situation.spec, _seen(situation.seen.deployment(stable.revision))
    if spec is None or is_pinned(situation):
        return stable.replicas
    if not spec.scaling.is_automatic:
        return spec.replicas if rests else max(spec.replicas, stable.replicas)
    if situation.rollout.state in BY_LOAD:
        least = spec.scaling.min_replicas if choose_engine(situation).kind else spec.replicas
        return max(least, stable.replicas if seen is None else seen)
    least = spec.replicas if rests else max(stable.replicas, _size_of_load(situation))
    return max(least, seen or 0)


def _size_of_load(situation: Situation) -> int:
    """The size that all of the load needs by what the canary's autoscaler has made of its share.

    Reckoned only where the canary has half of it or more, and was taken above its floor: of less
    stable's own autoscaler sees enough. So one can go back to stable under a load that has grown.
    """
    canary, scaling = situation.canary, situation.spec.scaling if situation.spec else Scaling()
    seen = _seen(situation.seen.deployment(canary.revision)) if canary else None
    if canary is None or seen is None or canary.weight < HALF or seen <= canary.replicas:
        return 0
    return min(scaling.max_replicas, -(-seen * 100 // canary.weight))


def _seen(deployment: DeploymentRecord | None) -> int | None:
    """What a Deployment was last given; None when it is gone or going."""
    if deployment is None or deployment.meta.deleting:
        return None
    return deployment.replicas


def is_idle(situation: Situation) -> bool:
    """Whether stable has no pods for want of work, and a step would share what nobody sends.

    The closing step is for whoever promotes all the way, or goes back to what was stable before.
    """
    stable = situation.stable
    idle = situation.seen.may_idle and stable is not None and stable.replicas == 0
    return idle and not situation.steps.is_closing
