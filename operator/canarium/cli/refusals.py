"""Why an apiserver refuses, or does not answer, in one sentence with the cure."""

from __future__ import annotations

import json
import re
import ssl

import aiohttp

from canarium.errors import (
    CommandError,
    ConflictError,
    DeniedError,
    NotAllowedError,
    UnavailableError,
)
from canarium.kube.transport import ApiRequest

INSTALL = (
    "the cluster does not know Canarium's kinds: install them with"
    " `canarium crds | kubectl apply --server-side -f -`"
)


_DENIED = re.compile(r" denied (?:the )?request: ")
"What stands before the words of a policy or a webhook; the object's name and its own stand first."


def explain_refusal(request: ApiRequest, status: int, text: str) -> Exception:
    """The error for an HTTP status of 400 or above; `text` is the body, a Status or not."""
    reason, message, about = _read_status(text)
    where = f"in namespace {request.namespace}" if request.namespace else "in all namespaces"
    verb = "patch" if request.method == "PATCH" else request.verb
    what = f"{verb} {request.resource.plural} {where}"
    if status == 401:
        return CommandError("the cluster does not know you: log in anew, or choose --context")
    if denied := _DENIED.search(message):
        return DeniedError(message[denied.end() :])
    if status == 403:
        return NotAllowedError(f"you may not {what}: ask for that right, or choose -n, --context")
    if status == 404:
        missing = f"there is no {request.resource.kind} {request.name or ''} {where}"
        known = bool(about and request.name)
        return CommandError(
            f"{missing}: `canarium get -A` shows all there are" if known else INSTALL
        )
    if status == 409:
        return ConflictError(status, reason, message)
    kind = UnavailableError if status == 429 or status >= 500 else CommandError
    kind = DeniedError if status == 422 else kind
    return kind(f"the cluster refused to {what}: {message or f'HTTP {status}'}")


def explain_unreachable(error: Exception, host: str) -> str:
    """That no answer came, by what stood in the way."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError | ssl.SSLError):
        return f"the certificate of {host} is not trusted: {error}; check the kubeconfig"
    if isinstance(error, TimeoutError):
        return f"{host} does not answer: check the network, or choose another --context"
    return (
        f"{host} cannot be reached ({_first_line(error)}): is the cluster up, and --context right?"
    )


def _first_line(error: Exception) -> str:
    cause = getattr(error, "os_error", None) or error
    words = getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
    return str(words).splitlines()[0]


def _read_status(text: str) -> tuple[str, str, str]:
    """Reason, message and the object's name of a Status; an unknown kind's 404 has no name."""
    try:
        found = json.loads(text)
    except ValueError:
        return "", text.strip()[:200], ""
    if not isinstance(found, dict):
        return "", "", ""
    details = found.get("details") or {}
    return found.get("reason", ""), found.get("message", ""), details.get("name", "")
