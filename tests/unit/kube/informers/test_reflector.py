import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from canarium.core.observed import ServiceRecord
from canarium.kube.client import Client
from canarium.kube.informers.projections.meta import Projection
from canarium.kube.informers.projections.services import project_service
from canarium.kube.informers.reflector import Reflector
from canarium.kube.informers.store import Store
from canarium.kube.kinds import SERVICES
from canarium.kube.queues.backoff import Backoff

from tests.unit.kube.transcript import Answer, Apiserver, Watch, make_page, make_refusal, play
from tests.unit.kube.wire import make_service

FRAUD = ("risk", "fraud")
QUICK = Backoff(first_seconds=0.002, longest_seconds=0.01)


@asynccontextmanager
async def reflect(
    client: Client,
    apiserver: Apiserver,
    states: list[str] | None = None,
    *,
    optional: bool = False,
    project: Projection = project_service,
) -> AsyncIterator[tuple[Reflector, Store[ServiceRecord]]]:
    """Run a reflector until the transcript is over."""
    store: Store[ServiceRecord] = Store()
    reflector = Reflector(
        client,
        SERVICES,
        store,
        project,
        selector="canarium.dev/model",
        backoff=QUICK,
        absent_seconds=0.002,
        optional=optional,
        on_state=lambda: (states if states is not None else []).append(reflector.state),
    )
    task = asyncio.create_task(reflector.run())
    try:
        await asyncio.wait_for(apiserver.over.wait(), 40)
        yield reflector, store
    finally:
        task.cancel()
        await asyncio.wait([task])


def versions(store: Store[ServiceRecord]) -> dict[str, str]:
    return {record.meta.name: record.meta.resource_version for record in store.of(FRAUD)}


async def eventually(probe: Callable[[], object], want: object) -> None:
    """Wait for the last event of a transcript, which is still on its way through the socket."""
    async with asyncio.timeout(40):
        while probe() != want:  # noqa: ASYNC110 - a store has no event to wait for
            await asyncio.sleep(0.001)


def bookmark(version: int) -> tuple[str, Any]:
    return "BOOKMARK", {"kind": "Service", "metadata": {"resourceVersion": str(version)}}


def expired() -> tuple[str, Any]:
    return "ERROR", {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}


async def test_it_lists_every_page_and_watches_from_there() -> None:
    script = (
        make_page(make_service("a", version=1), version=7, next_page="more"),
        make_page(make_service("b", version=2), version=7),
        Watch([("ADDED", make_service("c", version=8))], then="hold"),
    )
    async with play(*script) as (client, apiserver), reflect(client, apiserver) as (it, store):
        await eventually(lambda: versions(store), {"a": "1", "b": "2", "c": "8"})
        assert (it.state, it.synced.is_set(), it.age < 60) == ("synced", True, True)
        assert apiserver.queries() == [
            {"labelSelector": "canarium.dev/model"},
            {"labelSelector": "canarium.dev/model", "continue": "more"},
            {"labelSelector": "canarium.dev/model", "watch": "true", "resourceVersion": "7"},
        ]


async def test_changes_and_deletions_reach_the_store() -> None:
    events = [
        ("MODIFIED", make_service("a", version=8)),
        ("DELETED", make_service("b", version=9)),
    ]
    listed = make_page(make_service("a"), make_service("b"), version=7)
    async with (
        play(listed, Watch(events, then="hold")) as (client, apiserver),
        reflect(client, apiserver) as (_, store),
    ):
        await eventually(lambda: versions(store), {"a": "8"})


async def test_a_watch_that_ends_or_is_cut_is_resumed_where_it_stopped() -> None:
    script = (
        make_page(version=7),
        Watch([("ADDED", make_service("a", version=8))], then="cut"),
        Watch([bookmark(11)], then="end"),
        Watch([], then="hold"),
    )
    async with play(*script) as (client, apiserver), reflect(client, apiserver) as (_, store):
        assert versions(store) == {"a": "8"}
        asked = [query.get("resourceVersion") for query in apiserver.queries()]
        assert asked == [None, "7", "8", "11"]


async def test_an_error_in_the_stream_means_a_new_list_which_reveals_deletions() -> None:
    script = (
        make_page(make_service("a"), make_service("gone"), version=7),
        Watch([("ERROR", {"kind": "Status", "code": 500, "message": "etcd"})]),
        make_page(make_service("a"), version=9),
        Watch([expired()]),
        make_page(make_service("a"), make_service("b", version=10), version=12),
        Watch([], then="hold"),
    )
    async with play(*script) as (client, apiserver), reflect(client, apiserver) as (_, store):
        assert versions(store) == {"a": "1", "b": "10"}
        asked = [query.get("resourceVersion") for query in apiserver.queries()]
        assert asked == [None, "7", None, "9", None, "12"]


async def test_a_watch_refused_as_too_old_means_a_new_list() -> None:
    script = (
        make_page(make_service("a"), version=7),
        make_refusal(410, "Expired"),
        make_page(version=9),
        Watch([], then="hold"),
    )
    async with play(*script) as (client, apiserver), reflect(client, apiserver) as (_, store):
        assert versions(store) == {}


async def test_refused_and_broken_answers_are_waited_out() -> None:
    script = (
        make_refusal(403, "Forbidden"),
        make_refusal(500, "InternalError"),
        make_refusal(429, "TooManyRequests"),
        Answer("not a list"),
        make_page(make_service("a"), version=7),
        Watch([], then="hold"),
    )
    async with play(*script) as (client, apiserver), reflect(client, apiserver) as (it, store):
        assert versions(store) == {"a": "1"}
        assert it.problem == ""


async def test_while_it_is_refused_it_says_why_and_is_not_synced() -> None:
    script = [make_refusal(403, "Forbidden", "services is forbidden")]
    async with play(*script) as (client, apiserver), reflect(client, apiserver) as (it, _):
        assert (it.synced.is_set(), "services is forbidden" in it.problem) == (False, True)


async def test_a_kind_that_is_not_installed_is_absent_until_it_comes() -> None:
    states: list[str] = []
    script = (
        make_refusal(404, "NotFound"),
        make_refusal(404, "NotFound"),
        make_page(make_service("a"), version=7),
        make_refusal(404, "NotFound"),
        make_refusal(404, "NotFound"),
    )
    async with (
        play(*script) as (client, apiserver),
        reflect(client, apiserver, states) as (it, store),
    ):
        assert (states, versions(store)) == (["absent", "synced", "absent"], {})
        assert it.synced.is_set()


async def test_an_optional_kind_that_we_may_not_read_is_taken_for_absent() -> None:
    script = [make_refusal(403, "Forbidden"), make_refusal(403, "Forbidden")]
    async with (
        play(*script) as (client, apiserver),
        reflect(client, apiserver, optional=True) as (it, _),
    ):
        assert (it.state, it.synced.is_set()) == ("absent", True)


async def test_lines_longer_than_any_buffer_are_read_whole() -> None:
    large = make_service("large", version=8, annotations={"note": "x" * 900_000})
    script = (make_page(version=7), Watch([("ADDED", large)], then="hold"))
    async with play(*script) as (client, apiserver), reflect(client, apiserver) as (_, store):
        await eventually(lambda: versions(store), {"large": "8"})


async def test_an_object_that_cannot_be_read_hides_no_other_of_its_kind(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def read(raw: Any) -> ServiceRecord:
        if b'"bad"' in bytes(raw):
            raise RecursionError("\x1b[31mthe text of somebody else")
        return project_service(raw)

    script = (
        make_page(make_service("bad", version=1), make_service("good", version=2), version=7),
        Watch(
            [
                ("MODIFIED", make_service("bad", version=8)),
                ("MODIFIED", make_service("good", version=9)),
                ("ADDED", make_service("late", version=10)),
            ],
            then="hold",
        ),
    )
    async with (
        play(*script) as (client, apiserver),
        reflect(client, apiserver, project=read) as (it, store),
    ):
        await eventually(lambda: versions(store), {"good": "9", "late": "10"})
        assert it.state == "synced"
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "services risk/bad" in caplog.records[0].__dict__["object"]
