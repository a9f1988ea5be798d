import pytest
from canarium.errors import ApiError, CanariumError, ConflictError, NotFoundError, UnavailableError
from canarium.kube.refusals import explain, is_stale

STALE = ConflictError(
    409, "Conflict", 'Operation cannot be fulfilled on services "a": the object has been modified'
)
CONTESTED = ConflictError(
    409, "Conflict", 'Apply failed with 1 conflict: conflict with "helm": .spec.selector'
)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (
            ApiError(403, "Forbidden", 'deployments.apps "a" is forbidden: exceeded quota: q'),
            "QuotaExceeded",
        ),
        (
            ApiError(
                403,
                "Forbidden",
                'services "a" is forbidden: unable to create new content in namespace risk '
                "because it is being terminated",
            ),
            "NamespaceTerminating",
        ),
        (NotFoundError(404, "NotFound", 'namespaces "risk" not found'), "NamespaceTerminating"),
        (
            NotFoundError(404, "NotFound", "the server could not find the requested resource"),
            "KindNotInstalled",
        ),
        (NotFoundError(404, "NotFound", 'services "a" not found'), "NotFound"),
        (
            ApiError(400, "BadRequest", 'admission webhook "p.x" denied the request: no latest'),
            "AdmissionDenied",
        ),
        (
            ApiError(
                403,
                "Forbidden",
                'admission webhook "vscaledobject.kb.io" denied the request: the workload '
                "'fraud-5d8f7c9b64' of type 'apps/v1.Deployment' is already managed by the hpa "
                "'mine'",
            ),
            "AdmissionDenied",
        ),
        (
            ApiError(422, "Invalid", "ValidatingAdmissionPolicy 'p' denied request: no"),
            "AdmissionDenied",
        ),
        (
            ApiError(500, "InternalError", 'failed calling webhook "p.x": connection refused'),
            "Unavailable",
        ),
        (ApiError(403, "Forbidden", 'User "x" cannot create resource'), "Forbidden"),
        (ApiError(422, "Invalid", "spec.replicas: must be positive"), "Invalid"),
        (CONTESTED, "Conflict"),
        (UnavailableError("apply of services: TimeoutError"), "Unavailable"),
    ],
)
def test_each_refusal_gets_its_reason_and_keeps_the_servers_words(
    error: CanariumError, reason: str
) -> None:
    words = error.message if isinstance(error, ApiError) else str(error)
    assert explain(error) == (reason, words)


def test_words_are_cut_to_what_fits_a_condition() -> None:
    assert len(explain(ApiError(422, "Invalid", "x" * 9999))[1]) == 500


def test_a_stale_version_is_told_from_a_field_that_somebody_else_owns() -> None:
    errors = STALE, CONTESTED, NotFoundError(404, "", ""), UnavailableError("")
    assert [is_stale(error) for error in errors] == [True, False, False, False]
