from collections.abc import Callable
from typing import Any

import pytest
from canarium.errors import ApiError, ConflictError, GoneError, NotFoundError
from canarium.sim.apiserver import ApiServer, Change

Json = dict[str, Any]
KEY = ("risk", "fraud")


def make_server() -> ApiServer:
    return ApiServer(lambda: 1_800_000_000.0)


def make_route(weight: int = 1) -> Json:
    return {"metadata": {"name": "fraud"}, "spec": {"weight": weight}}


def put(server: ApiServer, weight: int, version: str = "") -> Json:
    body = make_route(weight)
    if version:
        body["metadata"]["resourceVersion"] = version
    return server.apply("HTTPRoute", KEY, body, "a", force=True).body


def about(body: Json) -> tuple[str, int]:
    return body["metadata"]["resourceVersion"], body["metadata"]["generation"]


def test_generation_follows_the_spec_and_the_version_every_write() -> None:
    server = make_server()
    first, second = put(server, 1), put(server, 2)
    third = server.replace_status("HTTPRoute", KEY, {"ok": True}, "2", "a").body
    assert [about(first), about(second), about(third)] == [("1", 1), ("2", 2), ("3", 2)]


def test_a_write_that_changes_nothing_is_none() -> None:
    server = make_server()
    put(server, 1)
    seen: list[Change] = []
    server.listen(seen.append)
    assert (about(put(server, 1)), seen) == (("1", 1), [])


@pytest.mark.parametrize(
    "write",
    [
        lambda server: put(server, 3, version="1"),
        lambda server: server.replace_status("HTTPRoute", KEY, {}, "1", "a"),
        lambda server: server.delete("HTTPRoute", KEY, "a", version="1"),
        lambda server: server.delete("HTTPRoute", KEY, "a", uid="another"),
        lambda server: server.create("HTTPRoute", "risk", make_route(), "a"),
    ],
)
def test_a_write_over_a_stale_version_is_refused(write: Callable[[ApiServer], object]) -> None:
    server = make_server()
    put(server, 1)
    put(server, 2)
    with pytest.raises(ConflictError):
        write(server)
    assert server.get("HTTPRoute", KEY).body["spec"] == {"weight": 2}


def test_a_merge_of_status_leaves_the_rest() -> None:
    server = make_server()
    put(server, 1)
    patch: Json = {"spec": {"weight": 9}, "status": {"a": 1, "b": {"c": 2}}}
    server.merge("HTTPRoute", KEY, patch, "a", "status")
    found = server.merge("HTTPRoute", KEY, {"status": {"a": None}}, "a", "status").body
    assert (found["spec"], found["status"]) == ({"weight": 1}, {"b": {"c": 2}})


def test_what_is_immutable_is_not_changed() -> None:
    server = make_server()
    server.create("ModelRevision", "risk", make_route(1), "a")
    with pytest.raises(ApiError, match="field is immutable"):
        server.apply("ModelRevision", KEY, make_route(2), "a", force=True)


def test_admission_refuses_before_anything_is_written() -> None:
    server = make_server()

    def refuse(kind: str, body: Json) -> None:
        raise ApiError(403, "Forbidden", f"no {kind} today")

    server.admission.append(refuse)
    with pytest.raises(ApiError, match="no HTTPRoute today"):
        put(server, 1)
    assert server.find("HTTPRoute", KEY) is None


def test_a_pods_deletion_is_only_asked_for() -> None:
    server = make_server()
    server.create("Pod", "risk", {"metadata": {"name": "fraud"}}, "a")
    server.delete("Pod", KEY, "a")
    assert "deletionTimestamp" in server.get("Pod", KEY).body["metadata"]
    server.remove("Pod", KEY, "kubelet")
    with pytest.raises(NotFoundError):
        server.get("Pod", KEY)


def test_a_watch_is_resumed_where_it_ended() -> None:
    server = make_server()
    put(server, 1)
    put(server, 2)
    seen: list[tuple[str, str]] = []
    stop = server.watch("HTTPRoute", "1", lambda c: seen.append((c.type, about(c.body)[0])))
    server.delete("HTTPRoute", KEY, "a")
    stop()
    put(server, 4)
    assert seen == [("MODIFIED", "2"), ("DELETED", "3")]


def test_a_watch_from_long_ago_has_expired() -> None:
    server = ApiServer(lambda: 0.0, history=10)
    for weight in range(12):
        put(server, weight)
    with pytest.raises(GoneError):
        server.watch("HTTPRoute", "1", lambda _change: None)


def test_a_kind_that_is_not_served_is_not_found() -> None:
    server = make_server()
    server.absent.add("HTTPRoute")
    with pytest.raises(NotFoundError, match="could not find the requested resource"):
        server.list("HTTPRoute")
