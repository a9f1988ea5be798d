import aiohttp
import pytest
from canarium import __version__
from canarium.errors import (
    ApiError,
    CanariumError,
    ConflictError,
    GoneError,
    NotFoundError,
    UnavailableError,
)
from canarium.kube.client import Client
from canarium.kube.config import Cluster
from canarium.kube.kinds import DEFINITIONS, DEPLOYMENTS, LEASES, MODEL_DEPLOYMENTS, SERVICES
from canarium.kube.transport import HttpTransport, make_error

from tests.unit.kube.transcript import Answer, make_refusal, play


async def test_apply_names_its_manager_and_sends_json_as_an_apply_patch() -> None:
    async with play(Answer({})) as (client, apiserver):
        await client.apply(DEPLOYMENTS, "risk", "a", {"kind": "x"}, "canarium", force=True)
    (request,) = apiserver.asked
    assert (request.method, str(request.rel_url)) == (
        "PATCH",
        "/apis/apps/v1/namespaces/risk/deployments/a?fieldManager=canarium&force=true",
    )
    assert request.headers["Content-Type"] == "application/apply-patch+yaml"
    assert request.headers["User-Agent"] == f"canarium/{__version__}"
    assert apiserver.bodies == [{"kind": "x"}]


async def test_status_is_written_whole_and_only_over_the_version_it_was_decided_on() -> None:
    async with play(Answer({})) as (client, apiserver):
        await client.patch_status(
            MODEL_DEPLOYMENTS,
            "risk",
            "fraud",
            {"phase": "Healthy"},
            resource_version="41",
            manager="canarium",
        )
    assert apiserver.asked[0].path.endswith("/modeldeployments/fraud/status")
    assert apiserver.bodies == [
        [
            {"op": "replace", "path": "/metadata/resourceVersion", "value": "41"},
            {"op": "add", "path": "/status", "value": {"phase": "Healthy"}},
        ]
    ]


async def test_of_a_kind_of_which_one_object_counts_only_that_is_asked_for() -> None:
    """Rights for a kind may name single objects: then a list has to name the same."""
    page = Answer({"metadata": {"resourceVersion": "1"}, "items": []})
    async with play(page) as (client, apiserver):
        [_ async for _ in client.list_pages(DEFINITIONS["HTTPRoute"])]
    assert dict(apiserver.asked[0].query) == {
        "limit": "500",
        "fieldSelector": "metadata.name=httproutes.gateway.networking.k8s.io",
    }


async def test_delete_means_exactly_one_object() -> None:
    async with play(Answer({})) as (client, apiserver):
        await client.delete(SERVICES, "risk", "a", "uid-1", "7")
    assert (apiserver.asked[0].method, apiserver.bodies) == (
        "DELETE",
        [
            {
                "propagationPolicy": "Background",
                "preconditions": {"uid": "uid-1", "resourceVersion": "7"},
            }
        ],
    )


async def test_without_the_lease_nothing_is_written_but_the_lease() -> None:
    async with play(Answer({}), Answer({})) as (client, apiserver):
        client.may_write = lambda: False
        with pytest.raises(UnavailableError, match="not sent without the lease"):
            await client.delete(SERVICES, "risk", "a", "uid-1", "7")
        await client.get(SERVICES, "risk", "a")
        await client.replace(LEASES, "canarium", "operator", {})
    assert [request.method for request in apiserver.asked] == ["GET", "PUT"]


async def test_an_escaped_name_arrives_as_it_was_escaped() -> None:
    async with play(Answer({})) as (client, apiserver):
        await client.get(SERVICES, "risk", "a?b#c")
    assert apiserver.asked[0].raw_path == "/api/v1/namespaces/risk/services/a%3Fb%23c"


async def test_nothing_is_sent_for_what_would_be_another_path() -> None:
    async with play(Answer({})) as (client, apiserver):
        with pytest.raises(ApiError, match="cannot be part of an object's path"):
            await client.get(SERVICES, "risk", "../secrets/a")
    assert apiserver.asked == []


@pytest.mark.parametrize(
    ("answer", "kind", "text"),
    [
        (make_refusal(404, "NotFound"), NotFoundError, "404 NotFound: no"),
        (make_refusal(409, "AlreadyExists"), ConflictError, "409 AlreadyExists: no"),
        (make_refusal(410, "Expired"), GoneError, "410 Expired: no"),
        (make_refusal(403, "Forbidden"), ApiError, "403 Forbidden: no"),
        (make_refusal(500, "InternalError"), ApiError, "500 InternalError: no"),
        (make_refusal(429, "TooManyRequests"), UnavailableError, "429 TooManyRequests: no"),
        (make_refusal(503, "ServiceUnavailable"), UnavailableError, "503 Service"),
        (Answer("gateway", 502), UnavailableError, '502 : "gateway"'),
        (Answer("moved", 301), ApiError, '301 : "moved"'),
    ],
)
async def test_refusals_become_errors_of_our_own(
    answer: Answer, kind: type[CanariumError], text: str
) -> None:
    async with play(answer) as (client, _):
        with pytest.raises(kind) as caught:
            await client.get(SERVICES, "risk", "a")
    assert type(caught.value) is kind
    assert str(caught.value).startswith(text)


@pytest.mark.parametrize(
    ("header", "seconds"), [("3", 3.0), ("86400", 60.0), ("soon", 0.0), (None, 0.0)]
)
def test_an_overloaded_apiserver_is_left_alone_as_long_as_it_asks(
    header: str | None, seconds: float
) -> None:
    error = make_error(429, b"", header)
    assert isinstance(error, UnavailableError)
    assert error.retry_after_seconds == seconds


async def test_an_apiserver_that_is_not_there_is_unavailable() -> None:
    seen: list[tuple[str, str, int]] = []
    cluster = Cluster(server="http://127.0.0.1:1")
    async with HttpTransport(cluster, observer=lambda *said: seen.append(said[:3])) as transport:
        with pytest.raises(UnavailableError, match="get of services: connection refused on port 1"):
            await Client(transport).get(SERVICES, "risk", "a")
    assert seen == [("get", "services", 0)]


async def test_an_apiserver_that_does_not_answer_is_unavailable() -> None:
    class Hasty(HttpTransport):
        timeout = aiohttp.ClientTimeout(total=0.05)

    async with play(transport=Hasty) as (client, _):
        with pytest.raises(UnavailableError, match="get of services: no answer in time"):
            await client.get(SERVICES, "risk", "a")
