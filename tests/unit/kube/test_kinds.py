import pytest
from canarium.errors import ApiError
from canarium.kube.kinds import DEPLOYMENTS, GATEWAYS, MODEL_DEPLOYMENTS, PODS


@pytest.mark.parametrize(
    ("path", "want"),
    [
        (PODS.path(), "/api/v1/pods"),
        (PODS.path("risk"), "/api/v1/namespaces/risk/pods"),
        (DEPLOYMENTS.path("risk", "a"), "/apis/apps/v1/namespaces/risk/deployments/a"),
        (
            MODEL_DEPLOYMENTS.path("risk", "a", "status"),
            "/apis/canarium.dev/v1alpha1/namespaces/risk/modeldeployments/a/status",
        ),
        (
            GATEWAYS.path("a b", "c?x#y"),
            "/apis/gateway.networking.k8s.io/v1/namespaces/a%20b/gateways/c%3Fx%23y",
        ),
    ],
)
def test_a_name_never_changes_what_a_path_means(path: str, want: str) -> None:
    assert path == want


@pytest.mark.parametrize("name", ["", ".", "..", "a/status", "../b", "a%2Fstatus", "%2e%2e"])
def test_what_can_never_be_a_name_is_refused_before_anything_is_sent(name: str) -> None:
    with pytest.raises(ApiError, match="cannot be part of an object's path"):
        PODS.path("risk", name)
    with pytest.raises(ApiError, match="cannot be part of an object's path"):
        PODS.path(name, "a")
