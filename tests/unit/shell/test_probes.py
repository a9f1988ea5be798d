import socket

import aiohttp
import pytest
from aiohttp import web
from canarium.errors import ConfigError
from canarium.shell.probes import parse_address, serve_probes


async def ask(runner: web.ServerRunner, path: str, host: str = "127.0.0.1") -> tuple[int, str]:
    port = runner.addresses[0][1]
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://{host}:{port}{path}") as response,
    ):
        return response.status, await response.text()


async def test_ready_says_what_is_missing_until_nothing_is() -> None:
    problems = ["pods: not listed yet"]
    runner = await serve_probes("127.0.0.1:0", lambda: problems, list)
    try:
        before = [await ask(runner, path) for path in ("/livez", "/readyz")]
        problems.clear()
        after = await ask(runner, "/readyz")
    finally:
        await runner.cleanup()
    assert (before, after) == ([(200, "ok\n"), (503, "pods: not listed yet\n")], (200, "ok\n"))


async def test_what_is_done_without_is_told_and_is_no_lack_of_readiness() -> None:
    notices = ["namespace b is not served: 403 Forbidden: no"]
    runner = await serve_probes("127.0.0.1:0", list, tuple, lambda: notices)
    try:
        said = await ask(runner, "/readyz")
    finally:
        await runner.cleanup()
    assert said == (200, f"ok\n{notices[0]}\n")


async def test_metrics_are_rendered_anew_at_each_look() -> None:
    looks = iter(([b"canarium_queue_depth 7.0\n"], [b"canarium_queue_depth ", b"8.0\n"]))
    runner = await serve_probes("127.0.0.1:0", list, lambda: next(looks))
    try:
        found = [await ask(runner, "/metrics") for _ in range(2)]
    finally:
        await runner.cleanup()
    assert found == [(200, "canarium_queue_depth 7.0\n"), (200, "canarium_queue_depth 8.0\n")]


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("127.0.0.1:8080", ("127.0.0.1", 8080)),
        ("[::1]:80", ("::1", 80)),
        (":80", ("", 80)),
    ],
)
def test_addresses_are_host_and_port(text: str, want: tuple[str, int]) -> None:
    assert parse_address(text) == want


async def test_no_host_is_every_address_of_both_families() -> None:
    runner = await serve_probes(":0", list, list)
    try:
        found = {host: await ask(runner, "/livez", host) for host in list_loopbacks()}
    finally:
        await runner.cleanup()
    assert found == dict.fromkeys(list_loopbacks(), (200, "ok\n"))


def list_loopbacks() -> list[str]:
    """This machine's own addresses as a URL has them; not every one has an IPv6 address."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return ["127.0.0.1"]
    return ["127.0.0.1", "[::1]"]


@pytest.mark.parametrize("text", ["8080", "localhost", "localhost:http", "localhost:99999"])
def test_what_is_no_address_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(ConfigError, match="write host:port"):
        parse_address(text)


async def test_an_address_that_is_taken_is_refused_in_a_sentence() -> None:
    runner = await serve_probes("127.0.0.1:0", list, list)
    port = runner.addresses[0][1]
    try:
        with pytest.raises(ConfigError, match="cannot listen on"):
            await serve_probes(f"127.0.0.1:{port}", list, list)
    finally:
        await runner.cleanup()
