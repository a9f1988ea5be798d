"""Who may read /metrics: what the apiserver is asked, how often, and what holds without it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from canarium.errors import UnavailableError
from canarium.kube.transport import ApiRequest
from canarium.shell.probes import serve_probes
from canarium.shell.reviews import (
    FRESH_SECONDS,
    KEPT,
    QUESTIONS_AT_ONCE,
    STALE_SECONDS,
    MetricsReaders,
)

from tests.unit.kube.fake import FakeClient

PROMETHEUS = "system:serviceaccount:monitoring:prometheus"
ACCOUNTS = {"good": PROMETHEUS, "other": "system:serviceaccount:risk:default"}


@dataclass(eq=False)
class Apiserver(FakeClient):
    """Answers reviews as an apiserver does; the time is the test's."""

    now: float = 1000.0
    away: bool = False
    asked: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)

    async def send(self, request: ApiRequest) -> bytes:
        body = json.loads(request.body or b"")
        assert (request.verb, request.query) == ("create", {"fieldManager": "canarium"})
        self.asked.append((request.path, body))
        if self.away:
            raise UnavailableError("create of tokenreviews: no answer")
        spec = body["spec"]
        status = self.review(spec["token"]) if "token" in spec else allow(spec)
        return json.dumps({**body, "status": status}).encode()

    def review(self, token: str) -> dict[str, Any]:
        name = ACCOUNTS.get(token)
        if name is None:
            return {"user": {}, "error": "invalid bearer token"}
        groups = ["system:serviceaccounts", "system:authenticated"]
        extra = {"authentication.kubernetes.io/pod-name": ["prometheus-0"]}
        user = {"username": name, "uid": "12", "groups": groups, "extra": extra}
        return {"authenticated": True, "user": user, "audiences": ["https://kubernetes"]}

    def readers(self) -> MetricsReaders:
        return MetricsReaders(self, lambda: self.now)


def allow(spec: Mapping[str, Any]) -> dict[str, Any]:
    return {"allowed": spec["user"] == PROMETHEUS, "reason": "RBAC"}


@pytest.mark.parametrize(
    ("header", "code", "questions"),
    [
        ("", 401, 0),
        ("Basic Z29vZDo=", 401, 0),
        ("Bearer ", 401, 0),
        (f"Bearer {'x' * 5000}", 401, 0),
        ("Bearer nobody", 401, 1),
        ("Bearer other", 403, 2),
        ("Bearer good", 200, 2),
        ("bearer good", 200, 2),
    ],
)
async def test_a_token_is_somebodys_and_he_may_get_the_metrics(
    header: str, code: int, questions: int
) -> None:
    apiserver = Apiserver()
    assert await apiserver.readers().judge(header) == code
    assert len(apiserver.asked) == questions


async def test_both_questions_are_what_an_apiserver_takes() -> None:
    apiserver = Apiserver()
    await apiserver.readers().judge("Bearer good")
    assert apiserver.asked == [
        (
            "/apis/authentication.k8s.io/v1/tokenreviews",
            {
                "apiVersion": "authentication.k8s.io/v1",
                "kind": "TokenReview",
                "spec": {"token": "good"},
            },
        ),
        (
            "/apis/authorization.k8s.io/v1/subjectaccessreviews",
            {
                "apiVersion": "authorization.k8s.io/v1",
                "kind": "SubjectAccessReview",
                "spec": {
                    "user": PROMETHEUS,
                    "uid": "12",
                    "groups": ["system:serviceaccounts", "system:authenticated"],
                    "extra": {"authentication.kubernetes.io/pod-name": ["prometheus-0"]},
                    "nonResourceAttributes": {"path": "/metrics", "verb": "get"},
                },
            },
        ),
    ]


async def test_an_answer_is_kept_for_a_minute_a_refusal_too() -> None:
    apiserver = Apiserver()
    readers = apiserver.readers()
    for header in ("Bearer good", "Bearer other") * 3:
        await readers.judge(header)
    assert len(apiserver.asked) == 4

    apiserver.now += FRESH_SECONDS
    assert await readers.judge("Bearer good") == 200
    assert len(apiserver.asked) == 6


async def test_without_an_apiserver_who_was_let_in_stays_and_nobody_else_comes_in() -> None:
    apiserver = Apiserver()
    readers = apiserver.readers()
    for header in ("Bearer good", "Bearer other"):
        await readers.judge(header)

    apiserver.away = True
    apiserver.now += FRESH_SECONDS
    codes = [await readers.judge(f"Bearer {token}") for token in ("good", "other", "new")]
    assert codes == [200, 503, 503]
    apiserver.now += STALE_SECONDS
    assert await readers.judge("Bearer good") == 503


async def test_a_flood_of_tokens_is_rationed_and_shuts_nobody_out() -> None:
    apiserver = Apiserver()
    readers = apiserver.readers()
    await readers.judge("Bearer good")
    apiserver.now += FRESH_SECONDS

    codes = [await readers.judge(f"Bearer guess-{number}") for number in range(1000)]
    assert len(apiserver.asked) <= 2 + QUESTIONS_AT_ONCE
    assert set(codes) == {401, 503}
    assert await readers.judge("Bearer good") == 200


async def test_a_flood_of_tokens_that_goes_on_for_long_shuts_nobody_out() -> None:
    apiserver = Apiserver()
    readers = apiserver.readers()
    assert await readers.judge("Bearer good") == 200
    for second in range(int(2 * STALE_SECONDS)):
        apiserver.now += 1.0
        for number in range(20):
            await readers.judge(f"Bearer forged-{second}-{number}")
        assert await readers.judge("Bearer good") == 200


async def test_of_many_answers_those_who_were_let_in_are_kept_longest() -> None:
    apiserver = Apiserver()
    readers = apiserver.readers()
    await readers.judge("Bearer good")
    for number in range(KEPT + 20):
        apiserver.now += 0.2
        await readers.judge(f"Bearer guess-{number}")

    before = len(apiserver.asked)
    assert before > KEPT
    assert await readers.judge("Bearer good") == 200
    assert len(apiserver.asked) == before


async def test_only_the_metrics_are_guarded() -> None:
    runner = await serve_probes(
        "127.0.0.1:0", list, lambda: [b"up 1\n"], guard=Apiserver().readers().judge
    )
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        async with aiohttp.ClientSession() as session:
            found = {}
            for path, token in (
                ("/livez", ""),
                ("/readyz", ""),
                ("/metrics", ""),
                ("/metrics", "other"),
                ("/metrics", "good"),
            ):
                headers = {"Authorization": f"Bearer {token}"} if token else {}
                async with session.get(url + path, headers=headers) as response:
                    found[path, token] = response.status, await response.text()
    finally:
        await runner.cleanup()
    assert found == {
        ("/livez", ""): (200, "ok\n"),
        ("/readyz", ""): (200, "ok\n"),
        ("/metrics", ""): (401, "send a token of the cluster's: Authorization: Bearer TOKEN\n"),
        ("/metrics", "other"): (403, "this account may not get /metrics (nonResourceURLs)\n"),
        ("/metrics", "good"): (200, "up 1\n"),
    }
