import aiohttp
import pytest
from aiohttp import web
from canarium.errors import ConfigError
from canarium.kube.probes import parse_address, serve_probes
from prometheus_client import CollectorRegistry, Gauge


async def ask(runner: web.AppRunner, path: str) -> tuple[int, str]:
    host, port = runner.addresses[0][:2]
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://{host}:{port}{path}") as response,
    ):
        return response.status, await response.text()


async def test_ready_says_what_is_missing_until_nothing_is() -> None:
    problems = ["pods: not listed yet"]
    runner = await serve_probes("127.0.0.1:0", lambda: problems, CollectorRegistry(), lambda: None)
    try:
        before = [await ask(runner, path) for path in ("/livez", "/readyz")]
        problems.clear()
        after = await ask(runner, "/readyz")
    finally:
        await runner.cleanup()
    assert (before, after) == ([(200, "ok\n"), (503, "pods: not listed yet\n")], (200, "ok\n"))


async def test_what_is_done_without_is_told_and_is_no_lack_of_readiness() -> None:
    notices = ["namespace b is not served: 403 Forbidden: no"]
    runner = await serve_probes(
        "127.0.0.1:0", list, CollectorRegistry(), lambda: None, lambda: notices
    )
    try:
        said = await ask(runner, "/readyz")
    finally:
        await runner.cleanup()
    assert said == (200, f"ok\n{notices[0]}\n")


async def test_metrics_are_brought_up_to_date_before_they_are_read() -> None:
    registry = CollectorRegistry()
    gauge = Gauge("canarium_queue_depth", "Objects waiting.", registry=registry)
    runner = await serve_probes("127.0.0.1:0", list, registry, lambda: gauge.set(7))
    try:
        status, text = await ask(runner, "/metrics")
    finally:
        await runner.cleanup()
    assert (status, "canarium_queue_depth 7.0" in text) == (200, True)


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("127.0.0.1:8080", ("127.0.0.1", 8080)),
        ("[::1]:80", ("::1", 80)),
        (":80", ("0.0.0.0", 80)),  # noqa: S104 - what people mean by it
    ],
)
def test_addresses_are_host_and_port(text: str, want: tuple[str, int]) -> None:
    assert parse_address(text) == want


@pytest.mark.parametrize("text", ["8080", "localhost", "localhost:http", "localhost:99999"])
def test_what_is_no_address_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(ConfigError, match="write host:port"):
        parse_address(text)


async def test_an_address_that_is_taken_is_refused_in_a_sentence() -> None:
    runner = await serve_probes("127.0.0.1:0", list, CollectorRegistry(), lambda: None)
    port = runner.addresses[0][1]
    try:
        with pytest.raises(ConfigError, match="cannot listen on"):
            await serve_probes(f"127.0.0.1:{port}", list, CollectorRegistry(), lambda: None)
    finally:
        await runner.cleanup()
