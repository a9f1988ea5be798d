"""Why the apiserver refused a write, in the words that status uses."""

from __future__ import annotations

from dataclasses import dataclass

from canarium.errors import ApiError, CanariumError, ConflictError

MESSAGE_LENGTH = 500


@dataclass(frozen=True, slots=True)
class _Rule:
    """The first rule whose code (0: any) and words are in an answer gives the reason."""

    reason: str
    status: int = 0
    words: str = ""

    def matches(self, error: ApiError) -> bool:
        return self.status in (0, error.status) and self.words in error.message


RULES = (
    _Rule("Unavailable", words="failed calling webhook"),
    _Rule("AdmissionDenied", words="denied the request"),
    _Rule("AdmissionDenied", words="ValidatingAdmissionPolicy"),
    _Rule("AdmissionDenied", words="violates PodSecurity"),
    _Rule("QuotaExceeded", 403, "exceeded quota"),
    _Rule("QuotaExceeded", 403, "failed quota"),
    _Rule("NamespaceTerminating", 403, "is being terminated"),
    _Rule("NamespaceTerminating", 404, "namespaces "),
    _Rule("KindNotInstalled", 404, "could not find the requested resource"),
    _Rule("Forbidden", 401),
    _Rule("Forbidden", 403),
    _Rule("NotFound", 404),
    _Rule("Conflict", 409),
    _Rule("Invalid", 400),
    _Rule("Invalid", 422),
)


def explain(error: CanariumError) -> tuple[str, str]:
    """A CamelCase reason, and the server's own words cut to a length that fits a condition."""
    message = error.message if isinstance(error, ApiError) else str(error)
    return _find_reason(error), message[:MESSAGE_LENGTH]


def is_stale(error: CanariumError) -> bool:
    """Whether a write was refused only because the object has changed since it was decided."""
    return isinstance(error, ConflictError) and "Apply failed with" not in error.message


def _find_reason(error: CanariumError) -> str:
    if not isinstance(error, ApiError):
        return "Unavailable"
    return next((rule.reason for rule in RULES if rule.matches(error)), "Unavailable")
