"""Whose fault it is that a revision isn't well: its own, or its environment's.

A revision's own fault gets it rolled back and rejected. The environment's leaves traffic on
stable, rejects nobody, is said in status, and heals by itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from canarium.core.digests import find_difference
from canarium.core.observed import ContainerState, DeploymentRecord, PodRecord, WriteFailure

CRASH_RESTARTS = 2
IMAGES_DIFFER = "ImagesDiffer"

_IMMEDIATE = {
    "ImagePullBackOff": "its image cannot be pulled",
    "InvalidImageName": "its image's name is not valid",
    "ErrImageNeverPull": "its image is not on the node and may not be pulled",
    "CreateContainerConfigError": "its container cannot be configured",
    "CreateContainerError": "its container cannot be created",
    "RunContainerError": "its container cannot be run",
}

_ROOT_REFUSED = ("runAsNonRoot", "non-root")
"What the kubelet says of an image that would run as root, or as a user whose number isn't known."
ROOT_CURE = (
    "write the number of a user other than root in spec.pod.securityContext.runAsUser, or"
    " runAsNonRoot: false where the namespace admits root"
)
STANDARD_CURE = (
    "mend what it names in spec.pod or spec.server, or have the namespace's label"
    " pod-security.kubernetes.io/enforce allow it"
)

_LOST = ("NodeLost", "NodeShutdown", "Evicted", "Shutdown", "Terminated")


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong, with whom, in one CamelCase word and one sentence."""

    whose: Literal["Revision", "Environment"]
    reason: str
    message: str


def find_fault(
    revision: str,
    pods: Iterable[PodRecord],
    deployment: DeploymentRecord | None,
    failures: Iterable[WriteFailure] = (),
) -> Fault | None:
    """The worst thing known about a revision's pods; None when nothing is wrong.

    The revision's own faults come before the environment's.
    """
    mine = [pod for pod in pods if pod.revision == revision and not pod.meta.deleting]
    own = (_container_fault(pod, state) for pod in mine for state in pod.containers)
    around = (_pod_fault(pod) for pod in mine)
    return (
        next((fault for fault in own if fault), None)
        or _image_fault(mine, deployment)
        or _deployment_fault(deployment)
        or next((fault for fault in around if fault), None)
        or next((Fault("Environment", f.reason, f.message) for f in failures), None)
    )


def _container_fault(pod: PodRecord, state: ContainerState) -> Fault | None:
    where = f"pod {pod.meta.name}, container {state.name}"
    if state.waiting_reason in _IMMEDIATE:
        words = state.waiting_message or _IMMEDIATE[state.waiting_reason]
        return Fault("Revision", state.waiting_reason, f"{where}: {_with_cure(words)}")
    if state.terminated_reason == "OOMKilled":
        return Fault("Revision", "OOMKilled", f"{where}: ran out of its memory limit")
    if state.waiting_reason == "CrashLoopBackOff" and state.restarts >= CRASH_RESTARTS:
        return Fault("Revision", "CrashLoopBackOff", f"{where}: {_last_exit(state)}")
    return None


def _with_cure(words: str) -> str:
    return f"{words}; {ROOT_CURE}" if any(word in words for word in _ROOT_REFUSED) else words


def _image_fault(pods: Iterable[PodRecord], deployment: DeploymentRecord | None) -> Fault | None:
    difference = find_difference(pods, deployment)
    return Fault("Revision", IMAGES_DIFFER, str(difference)) if difference else None


def _last_exit(state: ContainerState) -> str:
    code = "" if state.terminated_exit_code is None else f" with code {state.terminated_exit_code}"
    return f"exited{code}, {state.restarts} restarts"


def _deployment_fault(deployment: DeploymentRecord | None) -> Fault | None:
    if deployment is None or not deployment.failure_message:
        return None
    words = deployment.failure_message
    reason = _refusal(words)
    cure = f"; {STANDARD_CURE}" if reason == "PodSecurityDenied" else ""
    return Fault("Environment", reason, words + cure)


def _refusal(message: str) -> str:
    if "exceeded quota" in message:
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
    if pod.phase != "Failed" and pod.reason in _LOST:
        return Fault("Environment", pod.reason, f"pod {pod.meta.name} lost its node or its place")
    return None
