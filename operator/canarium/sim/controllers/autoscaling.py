"""HorizontalPodAutoscalers act: how many pods there are follows the load, as in Kubernetes.

The algorithm is the one of Kubernetes' own controller: ready pods alone are measured, those that
aren't ready count as idle when it would scale up; a tolerance; stabilisation; and a target that
was scaled to 0 is left alone. Of `behavior`, the windows and what is Disabled are heeded.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from canarium.core.quantities import parse_quantity
from canarium.errors import NotFoundError
from canarium.sim.apiserver import ApiServer, Change, Key
from canarium.sim.fields import Json
from canarium.sim.load import Load, find_revision

AUTOSCALER = "horizontal-pod-autoscaler"
KIND = "HorizontalPodAutoscaler"
PERCENT_A_REQUEST = 5.0
"Of what its container requests, what a request a second takes of a pod."
COSTS = {"cpu": 0.05, "memory": 50e6}
"The same in cores and in bytes."
REMEMBERED = 250
"Syncs: more than the longest window that Kubernetes allows, of an hour."
MOST_NEW = 4
"Up in one sync: so many pods, or as many again as there are (Kubernetes' default policies)."


@dataclass(slots=True)
class Manner:
    """How the controller works; Kubernetes' own window for scaling down is 300 s."""

    sync_seconds: float = 15.0
    tolerance: float = 0.1
    down_seconds: float = 30.0


@dataclass(frozen=True, slots=True)
class Scale:
    """What the scale subresource of a target says, and whose pods are counted."""

    kind: str
    key: Key
    wanted: int
    current: int
    model: Key
    revision: str


@dataclass(slots=True)
class _Watch:
    """One autoscaler: what it would have done lately, as (time, replicas)."""

    uid: str
    wishes: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=REMEMBERED))


class Autoscaler:
    """The controller of HorizontalPodAutoscalers; `working` False is a controller that hangs."""

    def __init__(self, server: ApiServer, loop: asyncio.AbstractEventLoop, load: Load) -> None:
        self.manner = Manner()
        self.working = True
        self._server = server
        self._loop = loop
        self._load = load
        self._watches: dict[Key, _Watch] = {}
        server.listen(self._look)

    def _look(self, change: Change) -> None:
        if change.kind != KIND:
            return
        uid = change.body["metadata"]["uid"]
        if change.type == "DELETED":
            self._watches.pop(change.key, None)
        elif change.type == "ADDED":
            self._watches[change.key] = _Watch(uid)
            self._loop.call_later(self.manner.sync_seconds, self._sync, change.key, uid)

    def _sync(self, key: Key, uid: str) -> None:
        """One look at one autoscaler, and the next one in a while."""
        watch = self._watches.get(key)
        if watch is None or watch.uid != uid:
            return
        self._loop.call_later(self.manner.sync_seconds, self._sync, key, uid)
        if self.working:
            self._act(key, watch, self._server.get(KIND, key).body)

    def _act(self, key: Key, watch: _Watch, body: Json) -> None:
        """Scale the target as it should be, or say why not."""
        spec = body["spec"]
        scale = read_scale(self._server, key[0], spec["scaleTargetRef"])
        least, most = spec.get("minReplicas", 1), spec["maxReplicas"]
        if scale is None:
            self._report(key, _condition("AbleToScale", "FailedGetScale"))
        elif self._is_contested(key, scale):
            self._report(key, _condition("ScalingActive", "AmbiguousSelector"))
        elif scale.wanted == 0 and least != 0:
            self._report(key, _condition("ScalingActive", "ScalingDisabled"))
        elif not least <= scale.wanted <= most:
            self._set(key, scale, min(most, max(least, scale.wanted)))
        elif (wish := self._compute_wish(spec["metrics"], scale)) is None:
            self._report(key, _condition("ScalingActive", "FailedGetResourceMetric"))
        else:
            steady = self._stabilise(watch, spec.get("behavior") or {}, scale.wanted, wish)
            self._set(key, scale, min(most, max(least, steady)))

    def _is_contested(self, key: Key, scale: Scale) -> bool:
        """Whether two of them aim at the same: then none of them acts."""
        aims = (
            (each["metadata"]["name"], each["spec"]["scaleTargetRef"])
            for each in self._server.all_of(KIND)
            if each["metadata"]["namespace"] == key[0]
        )
        return any(
            name != key[1] and (aim["kind"], aim["name"]) == (scale.kind, scale.key[1])
            for name, aim in aims
        )

    def _compute_wish(self, metrics: Iterable[Json], scale: Scale) -> int | None:
        """The most that any metric asks for; None when one that cannot be read might ask for more.

        With such a one, the others may still ask for more pods, and not for fewer.
        """
        wishes = [self._compute_one(metric, scale) for metric in metrics]
        known = [wish for wish in wishes if wish is not None]
        if not known or (len(known) < len(wishes) and max(known) < scale.wanted):
            return None
        return max(known)

    def _compute_one(self, metric: Json, scale: Scale) -> int | None:
        match metric["type"]:
            case "Resource":
                return self._by_pod(metric["resource"], scale)
            case "ContainerResource":
                return self._by_pod(metric["containerResource"], scale)
            case "External":
                return self._by_total(metric["external"], scale)
        return None

    def _by_pod(self, metric: Json, scale: Scale) -> int | None:
        """What ready pods use on average beside the target; None while none is ready."""
        pods = self._load.pods(scale.model, scale.revision)
        if not pods.ready:
            return None
        load = self._load.of(scale.model, scale.revision)
        ratio = load / pods.ready * _use_of_target(metric)
        idle = pods.every - pods.ready
        if not idle or ratio <= 1.0:
            return scale.wanted if self._is_near(ratio) else math.ceil(ratio * pods.ready)
        spread = ratio * pods.ready / pods.every
        if self._is_near(spread) or spread < 1.0:
            return scale.wanted
        return max(scale.wanted, math.ceil(spread * pods.every))

    def _by_total(self, metric: Json, scale: Scale) -> int:
        """The revision's whole load in shares of the target, whatever the query says."""
        shares = self._load.of(scale.model, scale.revision) / _read(metric["target"])
        near = scale.current > 0 and self._is_near(shares / scale.current)
        return scale.current if near else math.ceil(shares)

    def _is_near(self, ratio: float) -> bool:
        return abs(ratio - 1.0) <= self.manner.tolerance

    def _stabilise(self, watch: _Watch, behaviour: Json, now: int, wish: int) -> int:
        """The wish, held back by those of the windows that went another way."""
        up, down = behaviour.get("scaleUp") or {}, behaviour.get("scaleDown") or {}
        if not watch.wishes:
            watch.wishes.append((self._loop.time(), now))
        watch.wishes.append((self._loop.time(), wish))
        rising = min(self._within(watch, up.get("stabilizationWindowSeconds", 0)))
        window = down.get("stabilizationWindowSeconds", self.manner.down_seconds)
        steady = min(max(now, rising), max(self._within(watch, window)))
        if _is_disabled(up if steady > now else down):
            return now
        return min(steady, now + max(now, MOST_NEW))

    def _within(self, watch: _Watch, seconds: float) -> list[int]:
        """What was wished in so many seconds, and the last wish in any case."""
        begin, last = self._loop.time() - seconds, watch.wishes[-1][1]
        return [last, *(wish for time, wish in watch.wishes if time > begin)]

    def _set(self, key: Key, scale: Scale, replicas: int) -> None:
        if replicas != scale.wanted:
            self._server.scale(scale.kind, scale.key, replicas, AUTOSCALER)
        self._report(key, _condition("ScalingActive", "ValidMetricFound", active=True))

    def _report(self, key: Key, condition: Json) -> None:
        status = {"conditions": [condition]}
        self._server.write(KIND, key, lambda body: {**body, "status": status}, AUTOSCALER)


def read_scale(server: ApiServer, namespace: str, target: Json) -> Scale | None:
    """The scale subresource of what an autoscaler aims at; None when there is no such thing."""
    kind, key = target.get("kind", "Deployment"), (namespace, target["name"])
    try:
        body = server.get(kind, key).body
    except NotFoundError:
        return None
    status = body.get("status") or {}
    if kind == "Deployment":
        wanted, labels = body["spec"]["replicas"], body["spec"]["template"]["metadata"]["labels"]
    else:
        wanted = body["spec"].get("scaling", {}).get("replicas", 0)
        labels = dict(part.split("=") for part in status.get("selector", "").split(",") if part)
    model, revision = find_revision(namespace, labels)
    return Scale(kind, key, wanted, status.get("replicas", 0), model, revision)


def _use_of_target(metric: Json) -> float:
    """What one request a second adds to a pod's use, in shares of the target."""
    target = metric["target"]
    if target["type"] == "Utilization":
        return PERCENT_A_REQUEST / float(target["averageUtilization"])
    return COSTS[metric["name"]] / _read(target)


def _read(target: Json) -> float:
    return float(parse_quantity(target["averageValue"]))


def _is_disabled(rules: Json) -> bool:
    return rules.get("selectPolicy") == "Disabled"


def _condition(kind: str, reason: str, *, active: bool = False) -> dict[str, Any]:
    return {"type": kind, "status": "True" if active else "False", "reason": reason}
