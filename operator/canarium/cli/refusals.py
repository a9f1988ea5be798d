"""What an apiserver refuses, and that it cannot be reached, in one sentence with the cure."""

from __future__ import annotations

import json
import ssl

import aiohttp

from canarium.errors import CommandError, ConflictError, NotAllowedError, UnavailableError

INSTALL = (
    "the cluster does not know Canarium's kinds: install them with"
    " `canarium crds | kubectl apply --server-side -f -`"
)


def explain_refusal(
    status: int, text: str, verb: str, plural: str, name: str, namespace: str
) -> Exception:
    """The error for an HTTP status of 400 or above; `text` is the body, a Status or not."""
    reason, message, about = _read_status(text)
    where = f"in namespace {namespace}" if namespace else "in all namespaces"
    if status == 401:
        return CommandError("the cluster does not know you: log in anew, or choose --context")
    if status == 403:
        return NotAllowedError(
            f"you may not {verb} {plural} {where}: ask for that right, or choose -n, --context"
        )
    if status == 404:
        known = bool(about) or not plural.startswith("model")
        return CommandError(explain_missing(name, where) if known and name else INSTALL)
    if status == 409:
        return ConflictError(status, reason, message)
    words = message or f"HTTP {status}"
    kind = UnavailableError if status == 429 or status >= 500 else CommandError
    return kind(f"the cluster refused to {verb} {plural} {where}: {words}")


def explain_missing(name: str, where: str) -> str:
    """That there is no such ModelDeployment."""
    return f"there is no ModelDeployment {name} {where}: `canarium get -A` shows all there are"


def explain_unreachable(error: Exception, host: str) -> str:
    """That no answer came, by what stood in the way."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError | ssl.SSLError):
        return f"the certificate of {host} is not trusted: {error}; check the kubeconfig"
    if isinstance(error, TimeoutError):
        return f"{host} does not answer: check the network, or choose another --context"
    return f"{host} cannot be reached ({_first_line(error)}): is the cluster up, and --context right?"


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
