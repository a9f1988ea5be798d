"""What the kubelet and the runtime say of a container that doesn't run, and whose fault that is.

A reason alone does not tell: `ErrImagePull` is a name that nobody pushed, or a registry that asks
to be left alone for a while. So the words are looked at too. docs/rollouts.md has the table; the
words are those of kubelet 1.35 and containerd 1.6 and 2, and of registries behind them.
"""

from __future__ import annotations

import re
from typing import Literal

Whose = Literal["Revision", "Unclear", "Environment"]
"""Unclear: it may still come right by itself, and is the revision's own if it doesn't by the
progress deadline."""

PULLING = "ErrImagePull"
"The reason that is told while an image may still come: the kubelet's own takes turns with another."
BACKED_OFF = "ImagePullBackOff"
_PULLS = (PULLING, BACKED_OFF, "ImageInspectError", "RegistryUnavailable")
_CAUSE = f"{PULLING}: "
'Since 1.32 a kubelet that backs off says why: Back-off pulling image "x": ErrImagePull: <cause>.'

_CERTAIN = {
    "InvalidImageName": "its image's name is not valid",
    "ErrImageNeverPull": "its image is not on the node and may not be pulled",
    "SignatureValidationFailed": "its image's signature is not valid",
}
_BUSY = (
    "deadline exceeded",
    "deadlineexceeded",
    "timed out",
    "timeout",
    "connection refused",
    "connection reset",
    "broken pipe",
    "transport is closing",
    "ttrpc: closed",
    "no space left",
    "too many open files",
    "resource temporarily unavailable",
)
"What a node, a network or a store is that has too much to do, or isn't up yet."
_REGISTRY_BUSY = (
    *_BUSY,
    "toomanyrequests",
    "too many requests",
    "rate limit",
    "no such host",
    "server misbehaving",
    "500 internal",
    "502 bad gateway",
    "503 service",
    "504 gateway",
    "unexpected eof",
)
_NO_SUCH_IMAGE = (
    "not found",
    "manifest unknown",
    "name unknown",
    "no match for platform",
)
"Certain. That an image is denied is not: the Secret to pull with may come after the pod."
_ROOT_REFUSED = ("runAsNonRoot", "non-root")
"What the kubelet says of an image that would run as root, or as a user whose number isn't known."
_NODE_BUSY = (*_BUSY, "failed to reserve container name", "sandbox", "lease does not exist")
_STARTING = ("CreateContainerError", "RunContainerError")
_NEVER_STARTED = ("StartError", "ContainerCannotRun")
"How a container ended that the runtime could not start; its message has the runtime's words."

_NAMES = re.compile(r'"[^"]*"|\S*/\S*')
"What is quoted, and images, addresses and paths, which runtimes repeat without quotes."

_SILENT = {
    "CreateContainerConfigError": "its container cannot be configured",
    "CreateContainerError": "its container cannot be created",
    "RunContainerError": "its container cannot be run",
}


def judge_waiting(reason: str, message: str) -> Whose | None:
    """Whose fault it is that a container waits; None for a reason that is no fault."""
    if reason in _CERTAIN:
        return "Revision"
    if reason in _PULLS:
        return _judge_pull(reason, message)
    if reason == "CreateContainerConfigError":  # a Secret or a ConfigMap may come later
        return "Revision" if is_root_refused(message) else "Unclear"
    if reason in _STARTING:
        return "Unclear" if _says(message, _NODE_BUSY) else "Revision"
    return None


def is_start_failure(reason: str, message: str) -> bool:
    """Whether a container ended because its node could not start it just then."""
    return reason in _NEVER_STARTED and _says(message, _NODE_BUSY)


def _judge_pull(reason: str, message: str) -> Whose:
    """A first try decides nothing: images are pushed a moment after they are named."""
    if reason != BACKED_OFF or _says(message, _REGISTRY_BUSY):
        return "Unclear"
    return "Revision" if _says(message, _NO_SUCH_IMAGE) else "Unclear"


def _says(message: str, words: tuple[str, ...]) -> bool:
    """Whether one of these is in a message, apart from the names in it."""
    own = _NAMES.sub("", message).lower()
    return any(each in own for each in words)


def is_root_refused(message: str) -> bool:
    """Whether a pod is refused because it would run as root."""
    return any(words in message for words in _ROOT_REFUSED)


def name_waiting(reason: str, whose: Whose) -> str:
    """The reason that people read: one, where the kubelet's own changes with each try."""
    if reason not in _PULLS:
        return reason
    return BACKED_OFF if whose == "Revision" else PULLING


def describe_waiting(reason: str, message: str) -> str:
    """What the kubelet said, without what changes with each try; our words where it was silent."""
    if reason in _PULLS:
        cause = message.partition(_CAUSE)[2] if _CAUSE in message else message
        return cause or "its image cannot be pulled"
    return message or _CERTAIN.get(reason) or _SILENT.get(reason, reason)
