"""Deployments get ReplicaSets and pods, pods start and fail, nodes get lost: each in its own time.

The Deployment's controller, the scheduler and the kubelet in one. What a version's pods do is said
by a `Behaviour`, which may change while they run.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from canarium.errors import ApiError
from canarium.sim.apiserver import ApiServer, Change, Key, is_deleting, is_ready
from canarium.sim.fields import Json

CONTROLLER = "kube-controller-manager"
KUBELET = "kubelet"
NODES = ("node-a", "node-b", "node-c")
RETRY_SECONDS = 5.0
"How soon a pod that was refused is tried again."
UNSCHEDULABLE = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu."

NOT_FOUND = (
    'Back-off pulling image "i": ErrImagePull: failed to resolve reference "i": i: not found'
)
TOO_MANY = 'Back-off pulling image "i": ErrImagePull: unexpected status: 429 Too Many Requests'
NOT_FOR_US = 'Back-off pulling image "i": ErrImagePull: unexpected status: 401 Unauthorized'
AS_ROOT = "container has runAsNonRoot and image will run as root"
LATE_SECRET = 'secret "late" not found'  # noqa: S105 - the kubelet's words

Failing = Literal[
    "", "Crash", "OutOfMemory", "Unready", "Unschedulable", "ImagePull", "RegistryBusy", "Config",
    "NoSecret", "Unauthorized",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What the pods of a version do: ready `start_seconds` after they are scheduled, or failing.

    With `works_seconds` they fail only after having been ready for that long.
    """

    start_seconds: float = 2.0
    failing: Failing = ""
    works_seconds: float = 0.0

    @property
    def fails_at_once(self) -> bool:
        """Whether a pod that has a node never works."""
        return self.fails_running and not self.works_seconds

    @property
    def fails_running(self) -> bool:
        """Whether a pod that has a node fails sooner or later."""
        return self.failing not in ("", "Unschedulable")


@dataclass(slots=True)
class Pace:
    """How long the cluster's own controllers take, in seconds."""

    react: float = 0.05
    "From a Deployment's change to its pods', and from those to its status."
    schedule: float = 0.1
    terminate: float = 1.0
    evict: float = 20.0
    "From a node's loss until its pods are replaced."
    crash: float = 5.0
    "From one crash to the first restart; doubles each time."


@dataclass(slots=True)
class _Life:
    """Where one pod is in its life; timers of an earlier life are void."""

    version: str
    deployment: str
    template: Any
    number: int = 0
    node: str = ""
    restarts: int = 0


@dataclass(slots=True)
class _Workload:
    """One Deployment with its pods by key."""

    key: Key
    pods: dict[Key, None] = field(default_factory=dict)
    due: bool = False


def _own(kind: str, owner: Json) -> Json:
    meta = owner["metadata"]
    return {"kind": kind, "name": meta["name"], "uid": meta["uid"], "controller": True}


class Pods:
    """The pods of all Deployments.

    `quota` is how many pods may exist in all, `room` how many have a place on a node (or a GPU
    there). Behaviours go by version: the tag of the image.
    """

    def __init__(self, server: ApiServer, loop: asyncio.AbstractEventLoop) -> None:
        self.pace = Pace()
        self.quota: int | None = None
        self.room: int | None = None
        self.default = Behaviour()
        self._behaviours: dict[str, Behaviour] = {}
        self._lost: set[str] = set()
        self._cordoned: set[str] = set()
        self._cut_off: set[str] = set()
        self._server = server
        self._loop = loop
        self._workloads: dict[str, _Workload] = {}
        self._lives: dict[Key, _Life] = {}
        self._names = itertools.count(1)
        self._places = itertools.cycle(NODES)
        server.listen(self._look)

    # What happens to pods

    def behave(self, version: str, behaviour: Behaviour | None = None) -> None:
        """From now on a version's pods do this (well by default), those that run already too."""
        self._behaviours[version] = behaviour or Behaviour()
        for key, life in tuple(self._lives.items()):
            if life.version == version:
                self._begin(key, life)

    def behaviour(self, version: str) -> Behaviour:
        """What a version's pods do."""
        return self._behaviours.get(version, self.default)

    def lose_node(self, node: str) -> None:
        """A node is gone: its pods are unready now, and replaced after a while."""
        self._lost.add(node)
        for key, life in tuple(self._lives.items()):
            if life.node == node:
                life.number += 1
                lost = {"reason": "NodeLost", "message": f"node {node} is not responding"}
                self._set_status(key, {**_status(ready=False, phase="Running"), **lost})
                self._later(self.pace.evict, self._evict, key, life)

    def restore_node(self, node: str) -> None:
        """The node is back, empty."""
        self._lost.discard(node)
        self._place_waiting()

    def cordon(self, node: str) -> None:
        """No pod is placed on a node any more; those that are there stay."""
        self._cordoned.add(node)

    def uncordon(self, node: str) -> None:
        """Pods may be placed on the node again."""
        self._cordoned.discard(node)
        self._place_waiting()

    def cut_off(self, node: str, *, off: bool = True) -> None:
        """The registry asks a node to wait (or serves it again): what runs there goes on."""
        (self._cut_off.add if off else self._cut_off.discard)(node)
        for key, life in tuple(self._lives.items()):
            if life.node == node and not is_ready(self._pod(key)):
                self._begin(key, life)

    def _behaviour_of(self, life: _Life) -> Behaviour:
        """What a pod does where it is."""
        if life.node in self._cut_off:
            return Behaviour(failing="RegistryBusy")
        return self.behaviour(life.version)

    def on_node(self, node: str) -> list[Key]:
        """The pods that have their place there, oldest first."""
        return [key for key, life in self._lives.items() if life.node == node]

    def evict_all(self, version: str) -> None:
        """Every pod of a version goes, as in a drain that nobody budgeted; new ones come."""
        for key in [key for key, life in self._lives.items() if life.version == version]:
            self.delete(key)

    def set_quota(self, quota: int | None) -> None:
        """How many pods may exist from now on."""
        self.quota = quota
        for uid in tuple(self._workloads):
            self._plan_sync(uid)

    def set_room(self, room: int | None) -> None:
        """How many pods have a place from now on; those that are placed already keep theirs."""
        self.room = room
        self._place_waiting()

    # The Deployment's controller

    def _look(self, change: Change) -> None:
        if change.kind == "Deployment":
            self._look_at_deployment(change)
        elif change.kind == "Pod":
            self._look_at_pod(change)

    def _look_at_deployment(self, change: Change) -> None:
        uid = change.body["metadata"]["uid"]
        if change.type == "DELETED":
            self._workloads.pop(uid, None)
            return
        self._workloads.setdefault(uid, _Workload(change.key))
        if change.was is None or change.was["spec"] != change.body["spec"]:
            self._plan_sync(uid)

    def _look_at_pod(self, change: Change) -> None:
        life = self._lives.get(change.key)
        if life is None:
            return
        if change.type == "DELETED":
            del self._lives[change.key]
            if workload := self._workloads.get(life.deployment):
                del workload.pods[change.key]
            self._place_waiting()
        elif is_deleting(change.body) and not (change.was and is_deleting(change.was)):
            life.number += 1
            self._later(self.pace.terminate, self._finish, change.key)
        self._plan_sync(life.deployment)

    def _plan_sync(self, uid: str) -> None:
        workload = self._workloads.get(uid)
        if workload is not None and not workload.due:
            workload.due = True
            self._later(self.pace.react, self._sync, uid)

    def _sync(self, uid: str) -> None:
        """Bring a Deployment's pods to what it says, and its status to its pods."""
        workload = self._workloads.get(uid)
        deployment = self._server.find("Deployment", workload.key) if workload else None
        if workload is None or deployment is None:
            return
        workload.due = False
        refusal = self._scale(workload, deployment)
        self._report(workload, deployment, refusal)

    def _scale(self, workload: _Workload, deployment: Json) -> str:
        """Make or end pods, one template after the other; why a pod was refused, or ""."""
        wanted, template = deployment["spec"]["replicas"], deployment["spec"]["template"]
        live = [key for key in workload.pods if not is_deleting(self._pod(key))]
        old = [key for key in live if self._lives[key].template != template]
        ready = sum(is_ready(self._pod(key)) for key in live)
        missing = max(0, wanted - len(live)) or int(len(live) - len(old) < wanted == len(live))
        surplus = len(live) - wanted if not old else min(len(old), ready - wanted)
        order = sorted(old or live, key=lambda key: is_ready(self._pod(key)))
        for key in order[: max(0, surplus)]:
            self.delete(key)
        try:
            for _ in range(missing):
                self._make(deployment)
        except ApiError as error:
            self._later(RETRY_SECONDS, self._plan_sync, deployment["metadata"]["uid"])
            return str(error)
        return ""

    def _make(self, deployment: Json) -> None:
        if self.quota is not None and len(self._lives) >= self.quota:
            raise ApiError(403, "Forbidden", f"exceeded quota: pods, limited: pods={self.quota}")
        meta, template = deployment["metadata"], deployment["spec"]["template"]
        key = meta["namespace"], f"{meta['name']}-{next(self._names)}"
        about = {
            "name": key[1],
            "labels": template["metadata"]["labels"],
            "ownerReferences": [_own("ReplicaSet", self._make_set(deployment))],
        }
        body = {"apiVersion": "v1", "metadata": about, "spec": {}, "status": {"phase": "Pending"}}
        image = template["spec"]["containers"][0]["image"]
        life = _Life(image.rpartition(":")[2], meta["uid"], template)
        self._lives[key] = life
        self._workloads[meta["uid"]].pods[key] = None
        self._server.create("Pod", key[0], body, CONTROLLER)
        self._begin(key, life)

    def _make_set(self, deployment: Json) -> Json:
        """The ReplicaSet of a Deployment's template, made when its first pod is."""
        meta, template = deployment["metadata"], deployment["spec"]["template"]
        text = json.dumps([meta["uid"], template], sort_keys=True)
        name = f"{meta['name']}-{hashlib.sha256(text.encode()).hexdigest()[:10]}"
        found = self._server.find("ReplicaSet", (meta["namespace"], name))
        if found is None:
            owners, labels = [_own("Deployment", deployment)], template["metadata"]["labels"]
            about = {"name": name, "labels": labels, "ownerReferences": owners}
            body = {"apiVersion": "apps/v1", "metadata": about, "spec": {"replicas": 1}}
            found = self._server.create("ReplicaSet", meta["namespace"], body, CONTROLLER).body
        return found

    def _report(self, workload: _Workload, deployment: Json, refusal: str) -> None:
        pods = [pod for key in workload.pods if not is_deleting(pod := self._pod(key))]
        failure = {"type": "ReplicaFailure", "status": "True", "message": refusal}
        status = {
            "observedGeneration": deployment["metadata"]["generation"],
            "replicas": len(pods),
            "readyReplicas": sum(is_ready(pod) for pod in pods),
            **({"conditions": [failure]} if refusal else {}),
        }
        self._server.write(
            "Deployment", workload.key, lambda body: {**body, "status": status}, CONTROLLER
        )

    # The scheduler and the kubelet

    def _begin(self, key: Key, life: _Life) -> None:
        """What a pod does from now on, by its version's behaviour."""
        life.number += 1
        if life.node:
            self._run(key, life, running=True)
        else:
            self._step(self.pace.schedule, self._schedule, key, life)

    def _schedule(self, key: Key, life: _Life) -> None:
        free = [node for node in NODES if node not in self._lost | self._cordoned]
        placed = sum(bool(each.node) for each in self._lives.values())
        is_full = self.room is not None and placed >= self.room
        if is_full or not free or self.behaviour(life.version).failing == "Unschedulable":
            self._set_status(key, _unscheduled())
            return
        life.node = next(node for node in self._places if node in free)
        self._server.write(
            "Pod", key, lambda pod: {**pod, "spec": {"nodeName": life.node}}, "kube-scheduler"
        )
        self._run(key, life, running=False)

    def _place_waiting(self) -> None:
        """Try again to place the pods that have no place."""
        for key, life in tuple(self._lives.items()):
            pod = None if life.node else self._server.find("Pod", key)
            if pod is not None and not is_deleting(pod):
                self._begin(key, life)

    def _run(self, key: Key, life: _Life, *, running: bool) -> None:
        ready = is_ready(self._pod(key))
        behaviour = self.behaviour(life.version) if ready else self._behaviour_of(life)
        if behaviour.fails_at_once:
            delay = 0.0 if running else behaviour.start_seconds
            self._step(delay, self._fail, key, life)
        elif not ready:
            self._step(behaviour.start_seconds, self._become_ready, key, life)
        elif behaviour.fails_running:
            self._step(behaviour.works_seconds, self._fail, key, life)

    def _become_ready(self, key: Key, life: _Life) -> None:
        address = {"podIP": _make_address(int(key[1].rpartition("-")[2]))}
        self._set_status(key, {**_status(ready=True, phase="Running"), **address})
        behaviour = self.behaviour(life.version)
        if behaviour.fails_running:
            self._step(behaviour.works_seconds, self._fail, key, life)

    def _fail(self, key: Key, life: _Life) -> None:
        failing = self._behaviour_of(life).failing
        self._set_status(key, FAILURES[failing](life.restarts))
        if failing in ("Crash", "OutOfMemory") and life.restarts < 8:
            delay = self.pace.crash * 2.0**life.restarts
            life.restarts += 1
            self._step(delay, self._fail, key, life)

    def _evict(self, key: Key, life: _Life) -> None:
        if self._lives.get(key) is life:
            self.delete(key)

    def delete(self, key: Key) -> None:
        """Somebody deletes a pod; its Deployment makes another."""
        if self._server.find("Pod", key) is not None:
            self._server.delete("Pod", key, CONTROLLER)

    def _finish(self, key: Key) -> None:
        if self._server.find("Pod", key) is not None:
            self._server.remove("Pod", key, KUBELET)

    def _set_status(self, key: Key, status: Json) -> None:
        pod = self._server.find("Pod", key)
        if pod is None or is_deleting(pod):
            return
        address = pod["status"].get("podIP")
        kept = {"podIP": address} if address else {}
        self._server.write("Pod", key, lambda body: {**body, "status": {**kept, **status}}, KUBELET)

    def _pod(self, key: Key) -> Json:
        return self._server.get("Pod", key).body

    def _step(self, seconds: float, act: Any, key: Key, life: _Life) -> None:
        """Do something with a pod later, unless something else begins before."""
        number = life.number

        def do() -> None:
            if self._lives.get(key) is life and life.number == number:
                act(key, life)

        self._loop.call_later(seconds, do)

    def _later(self, seconds: float, act: Any, *arguments: Any) -> None:
        self._loop.call_later(seconds, act, *arguments)


def _make_address(number: int) -> str:
    """An address of the pod's own; they are never used again."""
    return f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"


def _status(*, ready: bool, phase: str, **container: Any) -> Json:
    conditions = [
        {"type": "PodScheduled", "status": "True"},
        {"type": "Ready", "status": "True" if ready else "False"},
    ]
    server = {"name": "server", "ready": ready, "restartCount": 0, **container}
    return {"phase": phase, "conditions": conditions, "containerStatuses": [server]}


def _unscheduled() -> Json:
    condition = {"type": "PodScheduled", "status": "False", "message": UNSCHEDULABLE}
    return {"phase": "Pending", "conditions": [condition]}


def _waiting(reason: str, phase: str, message: str = "", **container: Any) -> Json:
    state = {"waiting": {"reason": reason, **({"message": message} if message else {})}}
    return _status(ready=False, phase=phase, state=state, **container)


def _crash(restarts: int) -> Json:
    ended: Json = {"lastState": {"terminated": {"reason": "Error", "exitCode": 1}}}
    return _waiting("CrashLoopBackOff", "Running", restartCount=restarts, **ended)


def _run_out_of_memory(restarts: int) -> Json:
    ended: Json = {"lastState": {"terminated": {"reason": "OOMKilled", "exitCode": 137}}}
    return _waiting("CrashLoopBackOff", "Running", restartCount=restarts, **ended)


FAILURES: dict[Failing, Callable[[int], Json]] = {
    "Crash": _crash,
    "OutOfMemory": _run_out_of_memory,
    "Unready": lambda _restarts: _status(ready=False, phase="Running"),
    "ImagePull": lambda _restarts: _waiting("ImagePullBackOff", "Pending", NOT_FOUND),
    "RegistryBusy": lambda _restarts: _waiting("ImagePullBackOff", "Pending", TOO_MANY),
    "Config": lambda _restarts: _waiting("CreateContainerConfigError", "Pending", AS_ROOT),
    "Unauthorized": lambda _restarts: _waiting("ImagePullBackOff", "Pending", NOT_FOR_US),
    "NoSecret": lambda _restarts: _waiting("CreateContainerConfigError", "Pending", LATE_SECRET),
}
