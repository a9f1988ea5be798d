"""KEDA acts: each ScaledObject gets an autoscaler of KEDA's, and KEDA itself goes to 0 and back.

What it does between 0 and 1 is what its scale executor does: a target below the least number is
brought there whether there is load or not; one that may have no pods loses them when there was no
load for the cool-down, at once when there never was any. A trigger's value is the revision's load,
whatever its query says.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from canarium.errors import NotFoundError
from canarium.sim.apiserver import ApiServer, Change, Key, is_deleting
from canarium.sim.controllers.autoscaling import KIND as HPA
from canarium.sim.controllers.autoscaling import Scale, read_scale
from canarium.sim.fields import Json
from canarium.sim.load import Load

KEDA = "keda-operator"
KIND = "ScaledObject"
FINALIZER = "finalizer.keda.sh"
POLLING_SECONDS, COOLDOWN_SECONDS, MOST_REPLICAS = 30.0, 300.0, 100
"What KEDA takes where a ScaledObject doesn't say."
RESOURCES = ("cpu", "memory")
"Triggers that cannot tell whether anything comes for a target without pods."


@dataclass(slots=True)
class _Loop:
    """What is known of one ScaledObject: when it was made, and when it was active last."""

    uid: str
    begun_at: float
    active_at: float | None = None


class Keda:
    """KEDA's operator; `working` False is one that hangs: then nothing is deleted for good."""

    def __init__(self, server: ApiServer, loop: asyncio.AbstractEventLoop, load: Load) -> None:
        self.react_seconds = 0.2
        self.working = True
        self._server = server
        self._loop = loop
        self._load = load
        self._loops: dict[Key, _Loop] = {}
        server.listen(self._look)

    def _look(self, change: Change) -> None:
        if change.kind != KIND:
            return
        uid = change.body["metadata"]["uid"]
        if change.type == "DELETED":
            self._loops.pop(change.key, None)
        elif is_deleting(change.body):
            self._loop.call_later(self.react_seconds, self._finish, change.key, uid)
        elif change.was is None:
            self._loops[change.key] = _Loop(uid, self._loop.time())
            self._loop.call_later(self.react_seconds, self._begin, change.key, uid)
        elif change.was["spec"] != change.body["spec"]:
            self._loop.call_later(self.react_seconds, self._keep_autoscaler, change.key, uid)

    def _find(self, key: Key, uid: str) -> Json | None:
        """The ScaledObject as it is; None when it is another one, or gone."""
        body = self._server.find(KIND, key)
        return body if body and body["metadata"]["uid"] == uid else None

    def _begin(self, key: Key, uid: str) -> None:
        if self._find(key, uid) is not None:
            self._server.write(KIND, key, _hold, KEDA)
            self._keep_autoscaler(key, uid)
            self._poll(key, uid)

    def _finish(self, key: Key, uid: str) -> None:
        """Let go of what is to be deleted; garbage collection takes the autoscaler."""
        if self._find(key, uid) is None:
            return
        if self.working:
            self._server.remove(KIND, key, KEDA)
        else:
            self._loop.call_later(POLLING_SECONDS, self._finish, key, uid)

    def _keep_autoscaler(self, key: Key, uid: str) -> None:
        """Have the autoscaler as the ScaledObject says."""
        body = self._find(key, uid)
        if body is not None and not is_deleting(body):
            made = make_autoscaler(body)
            place = key[0], made["metadata"]["name"]
            self._server.apply(HPA, place, made, KEDA, force=True)

    def _poll(self, key: Key, uid: str) -> None:
        """See whether there is load, and between 0 and 1 act on it; again in a while."""
        body = self._find(key, uid)
        if body is None or is_deleting(body):
            return
        pause = body["spec"].get("pollingInterval", POLLING_SECONDS)
        self._loop.call_later(pause, self._poll, key, uid)
        scale = read_scale(self._server, key[0], body["spec"]["scaleTargetRef"])
        if scale is None:
            self._report(key, active=False, reason="ScaleTargetCheckFailed")
        elif self.working:
            self._act(key, body["spec"], scale)

    def _act(self, key: Key, spec: Json, scale: Scale) -> None:
        watched, least = self._loops[key], spec.get("minReplicaCount", 0)
        active = any(self._is_active(trigger, scale) for trigger in spec["triggers"])
        if active:
            watched.active_at = self._loop.time()
        if active and scale.wanted == 0:
            self._scale(scale, max(1, least))
        elif not active and scale.wanted < least:
            self._scale(scale, least)
        elif not active and scale.wanted > least == 0 and self._has_cooled(watched, spec):
            self._scale(scale, 0)
        self._report(key, active=active, reason="ScalerActive" if active else "ScalerNotActive")

    def _is_active(self, trigger: Json, scale: Scale) -> bool:
        if trigger["type"] in RESOURCES:
            return False
        threshold = float(trigger["metadata"].get("activationThreshold", 0))
        return self._load.of(scale.model, scale.revision) > threshold

    def _has_cooled(self, watched: _Loop, spec: Json) -> bool:
        now = self._loop.time()
        if watched.active_at is None:
            return now >= watched.begun_at + float(spec.get("initialCooldownPeriod", 0))
        return now >= watched.active_at + float(spec.get("cooldownPeriod", COOLDOWN_SECONDS))

    def _scale(self, scale: Scale, replicas: int) -> None:
        try:
            self._server.scale(scale.kind, scale.key, replicas, KEDA)
        except NotFoundError:  # it went in the same moment
            return

    def _report(self, key: Key, *, active: bool, reason: str) -> None:
        found = "False" if reason == "ScaleTargetCheckFailed" else "True"
        conditions = [
            {"type": "Ready", "status": found, "reason": reason},
            {"type": "Active", "status": "True" if active else "False", "reason": reason},
        ]
        status = {"conditions": conditions}
        self._server.write(KIND, key, lambda body: {**body, "status": status}, KEDA)


def make_autoscaler(scaled: Json) -> Json:
    """The autoscaler that KEDA makes of a ScaledObject: at least one pod, and its labels."""
    meta, spec = scaled["metadata"], scaled["spec"]
    owner = {"kind": KIND, "name": meta["name"], "uid": meta["uid"], "controller": True}
    config = spec.get("advanced", {}).get("horizontalPodAutoscalerConfig", {})
    target = {"apiVersion": "apps/v1", "kind": "Deployment", **spec["scaleTargetRef"]}
    return {
        "apiVersion": "autoscaling/v2",
        "metadata": {
            "name": f"keda-hpa-{meta['name']}",
            "labels": meta.get("labels") or {},
            "ownerReferences": [owner],
        },
        "spec": {
            "scaleTargetRef": target,
            "minReplicas": max(1, spec.get("minReplicaCount", 0)),
            "maxReplicas": spec.get("maxReplicaCount", MOST_REPLICAS),
            "metrics": [_make_metric(i, t) for i, t in enumerate(spec["triggers"])],
            **({"behavior": config["behavior"]} if "behavior" in config else {}),
        },
    }


def _make_metric(number: int, trigger: Json) -> Json:
    said = trigger["metadata"]
    if trigger["type"] not in RESOURCES:
        target = {"type": "AverageValue", "averageValue": said["threshold"]}
        name = f"s{number}-{trigger['type']}"
        return {"type": "External", "external": {"metric": {"name": name}, "target": target}}
    if trigger.get("metricType") == "AverageValue":
        target = {"type": "AverageValue", "averageValue": said["value"]}
    else:
        target = {"type": "Utilization", "averageUtilization": int(said["value"])}
    resource = {"name": trigger["type"], "target": target}
    return {"type": "ContainerResource", "containerResource": resource}


def _hold(body: Json) -> Json:
    return {**body, "metadata": {**body["metadata"], "finalizers": [FINALIZER]}}
