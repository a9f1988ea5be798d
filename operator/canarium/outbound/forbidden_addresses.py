"""Where a reading may connect to: never back into the operator, nor to a cloud's metadata service.

Addresses come from people who may write a template but must not thereby reach what only this
process can. They are checked when the connection is made, after names were looked up, so neither a
redirect nor a name server's answer leads around it; nor does a literal address.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Any, TypeAlias

import aiohttp
from aiohttp.connector import AddrInfoType
from yarl import URL

from canarium.failures import RefusedAddressError
from canarium.outbound.lookups import Lookups
from canarium.outbound.sharing import Shares

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

MAX_ADDRESS = 2_000
BUFFER_BYTES = 32 * 1024
"What waits to be read of a connection, at each of the places where something waits."

_REFUSED: tuple[tuple[str, Network], ...] = tuple(
    (what, ip_network(network))
    for what, networks in {
        "unspecified": ("0.0.0.0/8", "::/128"),
        "loopback": ("127.0.0.0/8", "::1/128"),
        "link-local": ("169.254.0.0/16", "fe80::/10"),
        "multicast": ("224.0.0.0/4", "ff00::/8"),
        "broadcast": ("255.255.255.255/32",),
        # Those that are not link-local: Alibaba Cloud's, Oracle's, Azure's; by IPv6 AWS',
        # Google Cloud's and Scaleway's.
        "metadata": (
            "100.100.100.200/32",
            "192.0.0.192/32",
            "168.63.129.16/32",
            "fd00:ec2::/32",
            "fd20:ce::254/128",
            "fd00:42::42/128",
        ),
    }.items()
    for network in networks
)
_NAT64 = ip_network("64:ff9b::/96")
"The last 32 bits of its addresses are an IPv4 one (RFC 6052)."
_GIVEN_OUT = ip_network("2000::/3")
_LOCAL_NAT64 = ip_network("64:ff9b:1::/48")
"Of whoever runs the network (RFC 8215), who chooses where in it an IPv4 address stands."


def check_address(address: str) -> URL:
    """Read an address that a person wrote: http or https, a host, no user and no fragment.

    Raises ValueError with what to write instead; what may be a password is not repeated.
    """
    try:
        url = URL(address) if len(address) <= MAX_ADDRESS else None
        port = url.port if url is not None else None
    except ValueError:
        url = port = None
    if url is None or url.scheme not in ("http", "https") or not url.host or not port:
        raise ValueError("not an address; write one such as http://prometheus.monitoring:9090")
    if url.user is not None or url.password is not None:
        raise ValueError("an address with a user or password; put these into a Secret instead")
    if not _can_be_looked_up(url.raw_host or ""):
        raise ValueError("not a host name; between dots it has 1 to 63 characters, 253 in all")
    if url.fragment:
        raise ValueError("an address with a #fragment, which no server gets to see; leave it out")
    return url


def _can_be_looked_up(host: str) -> bool:
    """Whether a name server can be asked for it at all: other names end in exceptions."""
    labels = host.removesuffix(".").split(".")
    return ":" in host or (len(host) <= 254 and all(0 < len(label) <= 63 for label in labels))


def is_public(address: Address) -> bool:
    """Whether an address, and whatever it stands for, is one of the Internet's."""
    return all(map(_is_public, unwrap(address)))


def _is_public(plain: Address) -> bool:
    """Of IPv6 what is given out for it: elsewhere are other ways to write an IPv4 address."""
    given_out = plain.version == 4 or plain in _GIVEN_OUT
    return given_out and plain.is_global and not plain.is_multicast


def find_objection(address: Address, allowed: Sequence[Network] = ()) -> str | None:
    """Say why an address must not be connected to, in a word or two; None when it may."""
    objections = (_object_to(plain, allowed) for plain in unwrap(address))
    return next(filter(None, objections), None)


def _object_to(plain: Address, allowed: Sequence[Network]) -> str | None:
    """A wide network that is allowed opens nothing in it that is refused for what it is."""
    listed = [network for network in allowed if plain in network]
    for what, network in _REFUSED:
        if plain in network and not any(_is_within(each, network) for each in listed):
            return what
    return "the operator's own" if not listed and _is_our_own(plain) else None


def _is_within(network: Network, other: Network) -> bool:
    """Whether all of a network is in another one; both hold one address, so they are of a kind."""
    return network.prefixlen >= other.prefixlen


def make_guarded_session(
    allowed: Sequence[Network] = (), shares: Shares | None = None
) -> aiohttp.ClientSession:
    """Make a session that connects to nothing it shouldn't, and sends no cookies or proxies along.

    `allowed` are networks that may be connected to nevertheless. Names are looked up within
    `shares`.
    """
    resolver = Lookups((shares or Shares()).lookups)

    def make_socket(info: AddrInfoType) -> socket.socket:
        _check(info[4], allowed)
        return make_short_socket(info)

    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            limit=0, use_dns_cache=False, socket_factory=make_socket, resolver=resolver
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
    )


def make_short_socket(info: AddrInfoType) -> socket.socket:
    """Make a socket into which only so much comes as is read soon, whatever a server sends."""
    family, kind, protocol, _, _ = info
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
    return made


def _check(where: tuple[Any, ...], allowed: Sequence[Network]) -> None:
    address = ip_address(str(where[0]).partition("%")[0])
    objection = find_objection(address, allowed)
    if objection is not None:
        raise RefusedAddressError(f"{address} is not connected to: {objection} address")


def unwrap(address: Address) -> tuple[Address, ...]:
    """The IPv4 addresses that an IPv6 one may stand for, where it may for any; else itself."""
    if isinstance(address, IPv4Address):
        return (address,)
    if address in _NAT64:
        return (IPv4Address(int(address) & 0xFFFFFFFF),)
    if address in _LOCAL_NAT64:
        return _find_embedded(address)
    return (address.ipv4_mapped or address.sixtofour or address,)


def _find_embedded(address: IPv6Address) -> tuple[Address, ...]:
    """The IPv4 addresses that stand in one, by each of the lengths that its prefix may have.

    As RFC 6052 has it bits 64 to 71 are left out, and what follows the IPv4 address is zero. A
    reading that begins with zero is a misreading wherever there is another one.
    """
    bits = f"{int(address):0128b}"
    without = bits[:64] + bits[72:]
    found = [
        IPv4Address(int(without[length : length + 32], 2))
        for length in (48, 56, 64)
        if int(bits[64:72], 2) == 0 and int(without[length + 32 :], 2) == 0
    ]
    found.append(IPv4Address(int(bits[96:], 2)))
    return tuple(each for each in found if int(each) >> 24) or tuple(found)


def _is_our_own(address: Address) -> bool:
    """Whether this machine, or pod, has the address: what goes there leaves from there.

    Connecting a datagram socket looks the route up and sends nothing.
    """
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((str(address), 9))
            return ip_address(str(probe.getsockname()[0]).partition("%")[0]) == address
    except OSError:
        return False  # There is no route, so the connection itself will fail and say why.
