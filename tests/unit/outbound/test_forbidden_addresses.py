"""Readings lead nowhere that only the operator could reach."""

import socket
from ipaddress import ip_address, ip_network

import aiohttp
import pytest
from aiohttp import web
from canarium.outbound.errors import SourceError
from canarium.outbound.fetching import Answer, Limits, OutboundRequest, fetch
from canarium.outbound.forbidden_addresses import (
    MAX_ADDRESS,
    check_address,
    find_objection,
    is_public,
    make_guarded_session,
)

from tests.unit.outbound.serving import LOOPBACK, answering, make_local_session, serving


@pytest.mark.parametrize(
    ("address", "objection"),
    [
        ("127.0.0.1", "loopback"),
        ("127.9.9.9", "loopback"),
        ("::1", "loopback"),
        ("::ffff:127.0.0.1", "loopback"),
        ("2002:7f00:1::", "loopback"),
        ("64:ff9b::7f00:1", "loopback"),
        ("64:ff9b:1::a9fe:a9fe", "link-local"),
        ("64:ff9b:1:a9fe:a9:fe00::", "link-local"),
        ("64:ff9b:1:a9:fe:a9fe::", "link-local"),
        ("64:ff9b:1:1:a9:fea9:fe00::", "link-local"),
        ("64:ff9b:1:1::7f00:1", "loopback"),
        ("64:ff9b:1::", "unspecified"),
        ("0.0.0.0", "unspecified"),  # noqa: S104  # nothing is bound
        ("0.1.2.3", "unspecified"),
        ("::", "unspecified"),
        ("169.254.169.254", "link-local"),
        ("::ffff:169.254.169.254", "link-local"),
        ("fe80::1", "link-local"),
        ("224.0.0.1", "multicast"),
        ("ff02::1", "multicast"),
        ("255.255.255.255", "broadcast"),
        ("100.100.100.200", "metadata"),
        ("fd00:ec2::254", "metadata"),
        ("fd20:ce::254", "metadata"),
        ("fd00:42::42", "metadata"),
        ("10.96.0.1", None),
        ("64:ff9b:1::cb00:7109", None),
        ("64:ff9b:1:cb00:71:900::", None),
        ("64:ff9b:1:cb:0:7109::", None),
        ("64:ff9b:1:1:cb:71:900::", None),
        ("fd20:ce::255", None),
        ("192.168.1.1", None),
        ("203.0.113.9", None),
        ("fd12:3456::1", None),
        ("2001:db8::1", None),
    ],
)
def test_addresses_by_which_a_reading_could_come_home_are_refused(
    address: str, objection: str | None
) -> None:
    assert find_objection(ip_address(address)) == objection


def test_the_address_of_the_machine_itself_is_refused() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("203.0.113.9", 9))
        own = ip_address(probe.getsockname()[0])
    assert find_objection(own) == "the operator's own"
    assert find_objection(own, [ip_network(own)]) is None


def test_what_is_allowed_is_connected_to_and_nothing_else() -> None:
    assert find_objection(ip_address("127.0.0.1"), LOOPBACK) is None
    assert find_objection(ip_address("::ffff:127.0.0.1"), LOOPBACK) is None
    assert find_objection(ip_address("::1"), LOOPBACK) == "loopback"


@pytest.mark.parametrize(
    ("network", "address", "objection"),
    [
        ("0.0.0.0/0", "169.254.169.254", "link-local"),
        ("0.0.0.0/0", "127.0.0.1", "loopback"),
        ("100.64.0.0/10", "100.100.100.200", "metadata"),
        ("100.64.0.0/10", "100.100.100.201", None),
        ("fd00::/8", "fd00:ec2::254", "metadata"),
        ("169.254.169.254/32", "169.254.169.254", None),
        ("169.254.169.0/24", "169.254.169.254", None),
    ],
)
def test_a_wide_network_opens_nothing_that_is_refused_for_what_it_is(
    network: str, address: str, objection: str | None
) -> None:
    assert find_objection(ip_address(address), [ip_network(network)]) == objection


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1::1", True),
        ("64:ff9b::5db8:d822", True),
        ("::ffff:93.184.216.34", True),
        ("10.0.0.1", False),
        ("100.64.0.1", False),
        ("224.0.0.1", False),
        ("::ffff:10.0.0.1", False),
        ("64:ff9b::a00:1", False),
        ("2002:a00:1::", False),
        ("::10.0.0.1", False),
        ("::ffff:0:10.0.0.1", False),
        ("2001:0:4136:e378:8000:63bf:3fff:fdd2", False),
        ("fec0::1", False),
        ("fd00::1", False),
        ("ff0e::1", False),
    ],
)
def test_a_public_address_is_one_of_the_internets_however_it_is_written(
    address: str, public: bool
) -> None:
    assert is_public(ip_address(address)) is public


async def ask(session: aiohttp.ClientSession, url: str) -> Answer:
    request = OutboundRequest("GET", check_address(url), "*/*")
    return await fetch(session, request, Limits(timeout_seconds=20))


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0.0.0.0", "127.1", "2130706433"],  # noqa: S104
)
async def test_nothing_is_asked_at_an_address_that_is_refused(host: str) -> None:
    asked = []

    async def handler(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response()

    async with serving(handler) as url, make_guarded_session() as session:
        port = check_address(url).port
        with pytest.raises(SourceError, match=r"cannot connect: |not an address: "):
            await ask(session, f"http://{host}:{port}/")
    assert asked == []


async def test_an_address_that_is_written_as_a_number_is_none() -> None:
    async with make_guarded_session() as session:
        with pytest.raises(
            SourceError, match="not an address: its host is none that can be asked for"
        ):
            await ask(session, "http://2130706433/")


async def test_a_name_that_leads_to_loopback_is_refused_with_its_reason() -> None:
    async with serving(answering("")) as url, make_guarded_session() as session:
        with pytest.raises(SourceError, match="is not connected to: loopback address"):
            await ask(session, url)


async def test_a_redirect_to_a_private_address_is_not_followed() -> None:
    asked = []

    async def secret(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response()

    async with serving(secret) as private:

        async def redirect(_: web.Request) -> web.Response:
            return web.Response(status=302, headers={"Location": private})

        async with serving(redirect) as public, make_local_session() as session:
            with pytest.raises(SourceError, match="HTTP status 302: redirects are not followed"):
                await ask(session, public)
    assert asked == []


@pytest.mark.parametrize(
    "host",
    [
        "prometheus..monitoring",
        ".monitoring",
        "a" * 64,
        f"{'a' * 64}.monitoring",
        "ü" * 60,
        ".".join(["a" * 60] * 5),
    ],
)
def test_a_host_that_nobody_can_look_up_is_no_address(host: str) -> None:
    with pytest.raises(ValueError, match=r"not (a host name|an address)"):
        check_address(f"http://{host}:9090")


@pytest.mark.parametrize("host", ["a", "a.", "a" * 63, "prometheus.monitoring.svc", "[fd00::1]"])
def test_a_host_that_can_be_looked_up_is_one(host: str) -> None:
    assert check_address(f"http://{host}:9090").port == 9090


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("", "not an address"),
        ("prometheus:9090", "not an address"),
        ("ftp://prometheus", "not an address"),
        ("http://", "not an address"),
        ("http://[nowhere/", "not an address"),
        ("http://host:port/", "not an address"),
        ("file:///etc/passwd", "not an address"),
        ("http://" + "a" * MAX_ADDRESS, "not an address"),
        ("http://user:secret@host/", "put these into a Secret"),
        ("http://user@host/", "put these into a Secret"),
        ("http://host/#top", "leave it out"),
    ],
)
def test_an_address_of_no_use_is_refused_without_repeating_it(address: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        check_address(address)
    assert "secret" not in str(caught.value)
