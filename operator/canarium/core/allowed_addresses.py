"""Which addresses a namespace may have the operator connect to, as far as their spelling says it.

Pure. The operator stands in the network where its tenants may not, so an address that one of them
wrote is one of three: a Service of their own namespace, what an administrator listed, or a public
name by https. What such a name leads to is looked up in `outbound/reach.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TypeAlias
from unicodedata import normalize
from urllib.parse import unquote, urlsplit, urlunsplit

Network: TypeAlias = IPv4Network | IPv6Network
Address: TypeAlias = IPv4Address | IPv6Address

ANYTHING = "*"
"The rule by which any host may be connected to that isn't forbidden to all."

_HOST = re.compile(r"(?:\*\.)?[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?", re.ASCII)
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
"A Service's name and a namespace's."
_IN_CLUSTER = re.compile(r"([^.]+\.[^.]+)\.svc(\.cluster\.local)?")
"No name server of the Internet's has these names: they lead to the Service, or nowhere."
_PORTS = {"http": 80, "https": 443}
_NAME = re.compile(r"[a-z0-9_.-]+", re.ASCII)
_PLAIN = re.compile(r"[A-Za-z0-9_.-]+(:[0-9]+)?", re.ASCII)
_CURE = "write host[:port], *.suffix or a network such as 10.0.0.0/8"


@dataclass(frozen=True, slots=True)
class HostRule:
    """A host, at all its ports or one; or all hosts whose name ends with a suffix (`*.suffix`)."""

    host: str
    port: int | None = None

    def covers(self, host: str, port: int) -> bool:
        """Whether it is about this host and port; of a Service in any of its spellings."""
        if self.port not in (None, port):
            return False
        if self.host.startswith("*."):
            spelt = (host, shorten(host))
            return any(each.endswith(self.host[1:]) and each != self.host[1:] for each in spelt)
        return self.host == ANYTHING or shorten(self.host) == shorten(host)


@dataclass(frozen=True, slots=True)
class Allowed:
    """What an administrator lets namespaces have read, beside their own Services."""

    hosts: tuple[HostRule, ...] = ()
    networks: tuple[Network, ...] = ()
    public: bool = True
    "Whether public names may be asked by https."

    def covers(self, host: str, port: int) -> bool:
        """Whether a host's name, or an address in its place, is listed."""
        return any(rule.covers(host, port) for rule in self.hosts)

    def includes(self, addresses: Sequence[Address]) -> bool:
        """Whether all of these are in the networks that are listed."""
        return bool(addresses) and all(
            any(address in network for network in self.networks) for address in addresses
        )

    def add(self, addresses: Iterable[str]) -> Allowed:
        """The same, and what an administrator wrote elsewhere for all namespaces to be asked.

        But for a name alone: that is a Service of whichever namespace it is asked for.
        """
        places = (split_address(address) for address in addresses)
        rules = (HostRule(host, port) for host, port in places if "." in host or ":" in host)
        return replace(self, hosts=(*self.hosts, *rules))


EVERYTHING = Allowed((HostRule(ANYTHING),))


def parse_allowed(rules: Iterable[str], *, public: bool = True) -> Allowed:
    """Read what is listed. Raises ValueError, with what to write instead."""
    hosts, networks = list[HostRule](), list[Network]()
    for rule in rules:
        if "/" in rule:
            networks.append(_parse_network(rule))
        else:
            hosts.append(_parse_host(rule))
    return Allowed(tuple(hosts), tuple(networks), public)


def _parse_network(rule: str) -> Network:
    try:
        return ip_network(rule)
    except ValueError as error:
        raise ValueError(f"{rule!r} will not do ({error}); {_CURE}") from None


def _parse_host(rule: str) -> HostRule:
    name, port = rule, None
    if rule.count(":") == 1 or rule.startswith("["):
        name, _, digits = rule.rpartition(":") if not rule.endswith("]") else (rule, "", "")
        port = int(digits) if digits.isdecimal() and digits.isascii() else None
        if not rule.endswith("]") and not (port and port < 65536):
            raise ValueError(f"{rule!r} will not do; {_CURE}")
    name = simplify(name.removeprefix("[").removesuffix("]"))
    if name != ANYTHING and read_address(name) is None and not _HOST.fullmatch(name):
        raise ValueError(f"{rule!r} will not do; {_CURE}")
    return HostRule(name, port)


def simplify(host: str) -> str:
    """A host's name as names are compared; an address as it is written shortest."""
    name = normalize("NFKC", host).replace("\u3002", ".").lower().rstrip(".")
    address = read_address(name)
    return name if address is None else str(address)


def shorten(host: str) -> str:
    """A Service's name and namespace, however it is written with them; any other host as it is."""
    found = _IN_CLUSTER.fullmatch(host)
    return found[1] if found else host


def read_address(host: str) -> Address | None:
    """An address that stands in the place of a host's name; an IPv6 one may have a zone."""
    try:
        return ip_address(host.partition("%")[0] if ":" in host else host)
    except ValueError:
        return None


def find_service(host: str, namespace: str) -> tuple[str, str] | None:
    """The name and namespace of the Service that a host may be; of one's own, without dots.

    `name.namespace` may be a public name as well: whoever asks has to know the namespace.
    """
    labels = host.split(".")
    if read_address(host) is not None or not all(map(_LABEL.fullmatch, labels)):
        return None
    if len(labels) == 1:
        return labels[0], namespace
    if len(labels) == 2 or labels[2] == "svc":
        return labels[0], labels[1]
    return None


def split_address(address: str) -> tuple[str, int]:
    """A URL's host, as names are compared, and its port; an empty host for what is no URL.

    And for a host that others may take for another one: with what ends a host in it, once decoded.
    """
    try:
        url = urlsplit(address)
        port = url.port or _PORTS.get(url.scheme, 0)
    except ValueError:
        return "", 0
    host = simplify(unquote(url.hostname or ""))
    return host if _NAME.fullmatch(host) or read_address(host) else "", port


def find_place(address: str) -> tuple[str, int]:
    """Host and port, by which two addresses of one Service are the same."""
    host, port = split_address(address)
    return shorten(host), port


def names_own_service(address: str, namespace: str, allowed: Allowed) -> bool:
    """Whether an address is a Service of this namespace, by its spelling.

    What is listed is asked of a name server, even where it is written like one.
    """
    host, port = split_address(address)
    service = find_service(host, namespace)
    return service is not None and service[1] == namespace and not allowed.covers(host, port)


def spell_out(address: str, namespace: str, allowed: Allowed) -> str:
    """An address as it means the same in any namespace, and to whoever reads it: as it was judged.

    Others' readers of URLs need not agree with this one on what a percent sign in a host is.
    """
    host, port = split_address(address)
    if not host:  # which may be no URL at all, as http://[9] is none
        return address
    url = urlsplit(address)
    if names_own_service(address, namespace, allowed):
        return f"{url.scheme}://{host.split('.')[0]}.{namespace}.svc:{port}{url.path}"
    if _PLAIN.fullmatch(url.netloc):
        return address
    return urlunsplit(url._replace(netloc=join_place(host, port)))


def find_unlisted(address: str, namespace: str, allowed: Allowed) -> str:
    """Why an address that is no Service of the namespace is not given away; "" if it may be."""
    host, port = split_address(address)
    literal = read_address(host)
    if not host:
        return "its host is no name: write letters, digits, hyphens and dots"
    if allowed.covers(host, port) or (literal is not None and allowed.includes([literal])):
        return ""
    return explain_unlisted(join_place(host, port), namespace)


def explain_unlisted(place: str, namespace: str) -> str:
    """The cure first, a line of the chart's values: what follows may be cut off."""
    return f"addresses.allow lacks {place}: it is no Service of namespace {namespace}"


def join_place(host: str, port: int) -> str:
    """A host and its port, as they stand in a URL."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
