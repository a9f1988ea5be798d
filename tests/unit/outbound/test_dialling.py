"""Which of a host's addresses is connected to, and under which name."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import aiohttp
import pytest
from canarium.notifying.destinations import Destination
from canarium.notifying.messages import Message
from canarium.notifying.posting import post
from canarium.outbound.auth import NOBODY
from canarium.outbound.fetching import OutboundRequest, aim, asking
from yarl import URL

KEY: Any = None
NOBODY_THERE = (
    aiohttp.ConnectionTimeoutError("nothing at all"),
    aiohttp.ClientConnectorError(KEY, OSError(111, "Connection refused")),
)


class Answer:
    """What is asked for nothing but its status."""

    status = 200

    def __init__(self) -> None:
        self.headers = dict[str, str]()

    def close(self) -> None:
        pass


class Network:
    """Hosts of which one answers; who was tried, and how long."""

    def __init__(self, error: Exception, here: str = "") -> None:
        self.error = error
        self.here = here
        self.tried: list[tuple[str | None, float | None]] = []

    def request(
        self, _method: str, url: URL, *, timeout: aiohttp.ClientTimeout, **_more: Any
    ) -> AbstractAsyncContextManager[Answer]:
        return self._connect(url, timeout)

    def post(
        self, url: URL, *, timeout: aiohttp.ClientTimeout, **_more: Any
    ) -> AbstractAsyncContextManager[Answer]:
        return self._connect(url, timeout)

    @asynccontextmanager
    async def _connect(self, url: URL, patience: aiohttp.ClientTimeout) -> AsyncIterator[Answer]:
        self.tried.append((url.host, patience.sock_connect))
        if url.host != self.here:
            raise self.error
        yield Answer()


def request(*dial: str) -> OutboundRequest:
    return OutboundRequest("GET", URL("http://quality/"), "text/plain", dial=dial)


@pytest.mark.parametrize("error", NOBODY_THERE, ids=["silence", "refusal"])
async def test_of_several_addresses_the_next_is_tried_and_only_the_last_is_waited_for(
    error: Exception,
) -> None:
    network: Any = Network(error, "10.0.0.3")
    async with asking(network, request("10.0.0.1", "10.0.0.2", "10.0.0.3")) as response:
        assert response.status == 200
    assert network.tried == [("10.0.0.1", 1.0), ("10.0.0.2", 1.0), ("10.0.0.3", None)]


@pytest.mark.parametrize("error", NOBODY_THERE, ids=["silence", "refusal"])
async def test_where_nobody_answers_the_last_ones_failure_is_told(error: Exception) -> None:
    network: Any = Network(error)
    with pytest.raises(type(error)):
        async with asking(network, request("10.0.0.1", "10.0.0.2")):
            raise AssertionError
    assert len(network.tried) == 2


@pytest.mark.parametrize("error", NOBODY_THERE, ids=["silence", "refusal"])
async def test_a_message_is_sent_to_the_next_address_too(error: Exception) -> None:
    network: Any = Network(error, "10.0.0.2")
    destination = Destination(URL("http://chats/hook"), NOBODY)
    message = Message("application/json", b"{}")
    outcome = await post(network, destination, message, "risk", ("10.0.0.1", "10.0.0.2"))
    assert not outcome.problem
    assert network.tried == [("10.0.0.1", 1.0), ("10.0.0.2", None)]


def test_a_name_is_asked_for_as_name_servers_know_it() -> None:
    aimed = aim(
        OutboundRequest("GET", URL("https://b\u00fccher.example/x"), "text/plain"), "10.0.0.1"
    )
    assert (str(aimed.url), aimed.host) == ("https://10.0.0.1/x", "xn--bcher-kva.example")
