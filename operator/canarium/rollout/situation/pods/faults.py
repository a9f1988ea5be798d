"""Whose fault it is that a revision isn't well: its own, or its environment's.

A revision's own fault gets it rolled back and rejected. The environment's leaves traffic on
stable, rejects nobody, is said in status, and heals by itself. What is unclear (a Secret that may
still come, a registry that is busy) is waited for, and is the revision's own if it is still so at
the progress deadline.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from canarium.core.observed import ContainerState, DeploymentRecord, PodRecord, WriteFailure
from canarium.core.text import quote
from canarium.memo import remember
from canarium.rollout.situation.pods.digests import find_difference
from canarium.rollout.situation.pods.kubelet_reasons import (
    Whose,
    describe_waiting,
    is_root_refused,
    is_start_failure,
    judge_waiting,
    name_waiting,
)

CRASH_RESTARTS = 2
IMAGES_DIFFER = "ImagesDiffer"

ROOT_CURE = (
    "write the number of a user other than root in spec.pod.securityContext.runAsUser, or"
    " runAsNonRoot: false where the namespace admits root"
)
STANDARD_CURE = (
    "mend what it names in spec.pod or spec.server, or have the namespace's label"
    " pod-security.kubernetes.io/enforce allow it"
)

RUNNING_FAULTS = ("CrashLoopBackOff", "OOMKilled")
"Of containers that did run: no other pod of the revision excuses them."
ENDED = ("Failed", "Succeeded")
_LOST = ("NodeLost", "NodeShutdown", "Evicted", "Shutdown", "Terminated")


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong, with whom, in one CamelCase word and one sentence."""

    whose: Whose
    reason: str
    message: str


def find_fault(
    revision: str,
    pods: Iterable[PodRecord],
    deployment: DeploymentRecord | None,
    failures: Iterable[WriteFailure] = (),
) -> Fault | None:
    """The worst thing known about a revision's pods; None when nothing is wrong.

    The revision's own faults come first, and what is unclear after what the environment is known
    to have done: blame has to wait until that is over.
    """
    mine = [pod for pod in pods if pod.revision == revision and not pod.meta.deleting]
    own = _list_own(deployment.template if deployment else b"{}")
    found = list(_container_faults(mine, own))
    around = (_pod_fault(pod) for pod in mine)
    return (
        _first(found, "Revision")
        or _image_fault(mine, deployment)
        or _deployment_fault(deployment)
        or next((fault for fault in around if fault), None)
        or _first(found, "Environment")
        or _first(found, "Unclear")
        or next((Fault("Environment", f.reason, f.message) for f in failures), None)
    )


def _first(faults: list[Fault], whose: Whose) -> Fault | None:
    return next((fault for fault in faults if fault.whose == whose), None)


@remember()
def _list_own(template: bytes) -> frozenset[str]:
    """The names of a pod template's containers: who else is in a pod was put there by others."""
    spec = json.loads(template).get("spec") or {}
    every = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
    return frozenset(str(each["name"]) for each in every) or frozenset(("server",))


def _container_faults(pods: list[PodRecord], own: frozenset[str]) -> Iterator[Fault]:
    """What containers say. A pod that has ended, or lost its node, says nothing of its revision."""
    ready = sum(pod.ready for pod in pods)
    for pod in pods:
        works = ready > pod.ready  # another one is
        if pod.phase in ENDED or pod.reason in _LOST:
            continue
        for state in pod.containers:
            mine = state.name in own
            fault = _own_fault(pod, state) if mine else _foreign_fault(pod, state)
            if fault is not None:
                yield _excuse(fault, state) if works else fault


def _own_fault(pod: PodRecord, state: ContainerState) -> Fault | None:
    if state.terminated_reason == "OOMKilled":
        return Fault("Revision", "OOMKilled", f"{_place(pod, state)}: ran out of its memory limit")
    if state.waiting_reason == "CrashLoopBackOff":
        return _crash(pod, state)
    whose = judge_waiting(state.waiting_reason, state.waiting_message)
    return _waiting(pod, state, whose) if whose else None


def _foreign_fault(pod: PodRecord, state: ContainerState) -> Fault | None:
    """A container that a webhook put there: as long as the pod is well, how it is matters not."""
    reason, message = state.waiting_reason, state.waiting_message
    if pod.ready or not reason:
        return None
    if reason == "CrashLoopBackOff":
        words = f"{_place(pod, state)}, which is not of this revision: {_last_exit(state)}"
        return Fault("Environment", reason, words)
    judged = judge_waiting(reason, message)
    return _waiting(pod, state, "Environment") if judged else None


def _crash(pod: PodRecord, state: ContainerState) -> Fault | None:
    if state.restarts < CRASH_RESTARTS:
        return None
    busy = is_start_failure(state.terminated_reason, state.terminated_message)
    words = f"{_place(pod, state)}: {_last_exit(state)}"
    return Fault("Unclear" if busy else "Revision", "CrashLoopBackOff", words)


def _waiting(pod: PodRecord, state: ContainerState, whose: Whose) -> Fault:
    words = describe_waiting(state.waiting_reason, state.waiting_message)
    cure = f"; {ROOT_CURE}" if is_root_refused(words) else ""
    reason = name_waiting(state.waiting_reason, whose)
    return Fault(whose, reason, f"{_place(pod, state)}: {words}{cure}")


def _excuse(fault: Fault, state: ContainerState) -> Fault:
    """What keeps a container from starting is its node's fault where the same starts elsewhere."""
    has_run = fault.reason in RUNNING_FAULTS and fault.whose == "Revision"
    if has_run or state.waiting_reason == "InvalidImageName":
        return fault
    reason = name_waiting(fault.reason, "Environment")
    return Fault("Environment", reason, f"{fault.message}; other pods of it are ready")


def _place(pod: PodRecord, state: ContainerState) -> str:
    return f"pod {pod.meta.name}, container {state.name}"


def gave_way(pod: PodRecord, since: float) -> bool:
    """Whether a pod that was there at `since` (epoch seconds) stopped to be ready by itself.

    Of a node that is lost, the last thing that its kubelet said of the containers stands: ready.
    """
    if pod.ready or pod.phase != "Running" or pod.reason in _LOST or pod.meta.created_at > since:
        return False
    return any(not state.ready for state in pod.containers)


def _image_fault(pods: Iterable[PodRecord], deployment: DeploymentRecord | None) -> Fault | None:
    difference = find_difference(pods, deployment)
    return Fault("Revision", IMAGES_DIFFER, str(difference)) if difference else None


def describe_restarts(pod: PodRecord) -> str:
    """How a container of a pod ended that is tried again, short of a fault; "" if none did."""
    for state in pod.containers:
        if state.restarts and not state.ready:
            return f"{_place(pod, state)}: {_last_exit(state)}"
    return ""


def _last_exit(state: ContainerState) -> str:
    code = "" if state.terminated_exit_code is None else f" with code {state.terminated_exit_code}"
    said = f", saying: {quote(state.terminated_message)}" if state.terminated_message else ""
    times = "1 restart" if state.restarts == 1 else f"{state.restarts} restarts"
    return f"exited{code}, {times}{said}"


def _deployment_fault(deployment: DeploymentRecord | None) -> Fault | None:
    if deployment is None or not deployment.failure_message:
        return None
    words = deployment.failure_message
    reason = _refusal(words)
    cure = f"; {STANDARD_CURE}" if reason == "PodSecurityDenied" else ""
    return Fault("Environment", reason, words + cure)


def _refusal(message: str) -> str:
    if "exceeded quota" in message or "failed quota" in message:
        return "QuotaExceeded"
    if "violates PodSecurity" in message:
        return "PodSecurityDenied"
    if "admission" in message or "denied the request" in message:
        return "AdmissionDenied"
    return "PodsRefused"


def _pod_fault(pod: PodRecord) -> Fault | None:
    if pod.scheduling_message and not pod.scheduled:
        words = f"pod {pod.meta.name} cannot be scheduled: {pod.scheduling_message}"
        return Fault("Environment", "Unschedulable", words)
    if pod.phase not in ENDED and pod.reason in _LOST:
        return Fault("Environment", pod.reason, f"pod {pod.meta.name} lost its node or its place")
    return None
