"""Where an address that a namespace wrote leads to, and whether it may be connected to from here.

A Service of the namespace is read from the apiserver and its own addresses are dialled: a name
server is never asked, and neither an alias (ExternalName) nor endpoints that somebody wrote by hand
are followed. Of all else the addresses are looked up once, judged, and exactly these are dialled.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import msgspec
from yarl import URL

from canarium.core.allowed_addresses import (
    Address,
    Allowed,
    explain_unlisted,
    find_place,
    find_service,
    find_unlisted,
    join_place,
    names_own_service,
    read_address,
    shorten,
    simplify,
)
from canarium.errors import ApiError, CanariumError, NotFoundError
from canarium.kube.client import Client
from canarium.kube.kinds import ENDPOINT_SLICES, SERVICES
from canarium.outbound.errors import SourceError
from canarium.outbound.forbidden_addresses import find_objection, is_public, unwrap
from canarium.outbound.lookups import looking_up_for

logger = logging.getLogger(__name__)

KEPT_SECONDS = 60.0
"How long what was read of a Service is used."
ENDPOINTS_SECONDS = 10.0
"And of its endpoints, which come and go with pods."
MISSING_SECONDS = 5.0
"How long it is believed that there is nothing to dial, which somebody may be about to mend."
STALE_SECONDS = 600.0
"How long what was read goes on to be used while the apiserver doesn't say."
LOOKUP_SECONDS = 5.0
MOST_KEPT = 1000
MOST_DIALLED = 20
"Of one host's addresses."
_ELSEWHERE = ": another namespace's is written name.namespace"
_WHAT = "{what}"
"Where a Service's name is put, for whoever may read it."
NAME_OF_SLICES = "kubernetes.io/service-name"
APISERVER = ("default", "kubernetes")
"Namespace and name of its Service."

Resolve: TypeAlias = Callable[[str, int], Awaitable[Sequence[str]]]
"""From a host and port to addresses. Raises SourceError."""
Advertised: TypeAlias = Callable[[], Awaitable[Sequence[tuple[str, int]]]]
"""What the apiserver says of where it is itself. Raises CanariumError."""
Place: TypeAlias = tuple[Address, int]


class _ServiceSpec(msgspec.Struct, rename="camel"):
    type: str = "ClusterIP"
    selector: dict[str, str] | None = None
    external_name: str = ""
    cluster_ips: list[str] = msgspec.field(name="clusterIPs", default_factory=list)


class _Service(msgspec.Struct):
    spec: _ServiceSpec = msgspec.field(default_factory=_ServiceSpec)


class _Conditions(msgspec.Struct):
    ready: bool | None = None


class _Endpoint(msgspec.Struct):
    addresses: list[str] = []
    conditions: _Conditions = msgspec.field(default_factory=_Conditions)


class _Port(msgspec.Struct):
    port: int | None = None


class _Slice(msgspec.Struct):
    endpoints: list[_Endpoint] | None = None
    ports: list[_Port] | None = None


_decode_service = msgspec.json.Decoder(_Service).decode
_decode_slice = msgspec.json.Decoder(_Slice).decode


class NotReachedError(SourceError):
    """An address that is not asked for a namespace, until somebody changes something."""


class NoServiceError(NotReachedError):
    """A name alone for which the namespace has no Service: it may have been meant for another's."""


@dataclass(frozen=True, slots=True)
class _Kept:
    """What is known of a Service; `problem` is why it cannot be dialled now.

    `objection` is why it is never followed. `missing`: there is no such Service. `read` is when the
    apiserver said so.
    """

    addresses: tuple[str, ...] = ()
    objection: str = ""
    problem: str = ""
    missing: bool = False
    seconds: float = KEPT_SECONDS
    read: float = 0.0
    until: float = 0.0


class Reach:
    """Finds what may be dialled for an address, for the namespace that wrote it."""

    def __init__(
        self,
        client: Client,
        allowed: Allowed,
        resolve: Resolve,
        *,
        prometheus_url: str = "",
        apiserver: str = "",
        advertised: Advertised | None = None,
        cluster_wide: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._allowed = allowed
        self._resolve = resolve
        self._shared = find_place(prometheus_url)
        self._apiserver = URL(apiserver) if apiserver else None
        self._advertised = advertised
        self._cluster_wide = cluster_wide
        self._clock = clock
        self._kept: dict[tuple[str, str], _Kept] = {}
        self._reading: dict[tuple[str, str], asyncio.Task[_Kept]] = {}
        self._refused: tuple[frozenset[Place], float] = (frozenset(), float("-inf"))
        self._refreshing = asyncio.Lock()

    def is_own(self, address: str, namespace: str) -> bool:
        """Whether it means a Service of this namespace, and elsewhere another one or none."""
        return names_own_service(address, namespace, self._allowed)

    def is_same_for_all(self, address: str) -> bool:
        """Whether it leads to the same place, and may, for whichever namespace asks."""
        return not find_unlisted(address, "", self._allowed)

    async def find(self, url: URL, namespace: str, *, named: bool = True) -> tuple[str, ...]:
        """The addresses to dial. Raises SourceError, with the cure, where none may be.

        Its words have the host in them only where it is `named`.
        """
        host, port = simplify(url.raw_host or ""), url.port or 0
        if self.is_own(str(url), namespace):
            name = find_own_name(host, namespace)
            said = name if named else ""
            found = await self._find_service(said, name, namespace, bare="." not in host)
        else:
            with looking_up_for(namespace):
                found = await self._look_up(url, host, port, namespace, named=named)
        await self._check_apiserver(found, port)
        return found

    async def find_objection(self, name: str, namespace: str) -> str:
        """Why a Service is never followed; "" where nothing is against it, or none is known."""
        return (await self._get(name, namespace)).objection

    def forget(self, address: str, namespace: str) -> None:
        """Read its Service anew soon, since nobody answers there: it may have been made anew."""
        if not self.is_own(address, namespace):
            return
        key = (namespace, find_own_name(find_place(address)[0], namespace))
        if (kept := self._kept.get(key)) is not None:
            soon = kept.read + MISSING_SECONDS
            self._kept[key] = replace(kept, until=min(kept.until, soon))

    async def _find_service(
        self, said: str, name: str, namespace: str, *, bare: bool
    ) -> tuple[str, ...]:
        """The addresses of a Service that leads to pods of its namespace.

        A `bare` name that is none of its Services was another namespace's to earlier versions.
        """
        kept, what = await self._get(name, namespace), f"Service {said}".strip()
        if kept.objection:
            host = f"{name}.{namespace}, written so" if said else "its host, with its namespace"
            raise NotReachedError(f"addresses.allow lacks {host}: it {kept.objection}")
        if kept.missing and bare:
            raise NoServiceError(kept.problem.replace(_WHAT, what) + _ELSEWHERE)
        if kept.problem:
            raise SourceError(kept.problem.replace(_WHAT, what))
        return kept.addresses

    async def _get(self, name: str, namespace: str) -> _Kept:
        """What is known, read where it has to be: once for all who wait for it."""
        key = (namespace, name)
        kept = self._kept.get(key)
        if kept is not None and self._clock() < kept.until:
            return kept
        task = self._reading.get(key)
        if task is None:
            task = self._reading[key] = asyncio.create_task(self._refresh(key, kept))
            task.add_done_callback(lambda _: self._reading.pop(key, None))
        return await asyncio.shield(task)

    async def _refresh(self, key: tuple[str, str], before: _Kept | None) -> _Kept:
        now, namespace, name = self._clock(), *key
        try:
            kept = replace(await self._read(name, namespace), read=now)
        except SourceError as error:
            if before is None or before.problem or now - before.read > STALE_SECONDS:
                before = _Kept(problem=str(error), read=now)
            kept = replace(before, seconds=MISSING_SECONDS)
        kept = replace(kept, until=now + kept.seconds)
        self._keep(key, kept)
        return kept

    def _keep(self, key: tuple[str, str], kept: _Kept) -> None:
        now = self._clock()
        if len(self._kept) >= MOST_KEPT:
            self._kept = {known: each for known, each in self._kept.items() if now < each.until}
        while len(self._kept) >= MOST_KEPT:
            del self._kept[next(iter(self._kept))]
        self._kept[key] = kept

    async def _read(self, name: str, namespace: str) -> _Kept:
        """What the apiserver has of it. Raises SourceError while nobody knows."""
        try:
            spec = _decode_service(await self._client.get(SERVICES, namespace, name)).spec
            if objection := _object_to(spec):
                return _Kept(objection=objection)
            own = tuple(each for each in spec.cluster_ips if read_address(each) is not None)
            if own:
                return _Kept(own[:MOST_DIALLED])
            return _keep_endpoints(await self._list_endpoints(name, namespace))
        except NotFoundError:
            words = f"there is no such {_WHAT} in namespace {namespace}"
            return _Kept(problem=words, missing=True, seconds=MISSING_SECONDS)
        except ApiError as error:
            raise SourceError(f"its Service cannot be read: {error.reason}") from error
        except CanariumError as error:
            raise SourceError("its Service cannot be read now") from error

    async def _list_endpoints(self, name: str, namespace: str) -> tuple[str, ...]:
        """The ready endpoints of a headless Service."""
        found = list[str]()
        selector = f"{NAME_OF_SLICES}={name}"
        async for page in self._client.list_pages(ENDPOINT_SLICES, namespace, selector):
            for item in page.items or ():
                for endpoint in _decode_slice(item).endpoints or ():
                    if endpoint.conditions.ready is not False:
                        found += endpoint.addresses
        return tuple(sorted({each for each in found if read_address(each) is not None}))

    async def _look_up(
        self, url: URL, host: str, port: int, namespace: str, *, named: bool
    ) -> tuple[str, ...]:
        place = join_place(host, port) if named else "its host"
        words = explain_unlisted(place, namespace)
        refusal = NotReachedError(f"{words}, and no public name by https")
        literal, listed = read_address(host), self._is_listed(host, port)
        may_be_public = self._allowed.public and url.scheme == "https" and literal is None
        if literal is None and not (listed or may_be_public or self._allowed.networks):
            raise refusal  # so no name server hears of it
        found = [str(literal)] if literal else await self._ask_name_server(host, port, named=named)
        addresses = [each for each in map(read_address, found[:MOST_DIALLED]) if each is not None]
        everywhere, addresses = addresses, self._drop_refused(addresses, named=named)
        public = may_be_public and bool(addresses) and all(map(is_public, everywhere))
        if not (listed or public or self._allowed.includes(addresses)):
            raise refusal
        return tuple(map(str, addresses))

    def _drop_refused(self, addresses: list[Address], *, named: bool) -> list[Address]:
        """Those that are not forbidden to all. Raises NotReachedError when none is left."""
        objections = [find_objection(each, self._allowed.networks) for each in addresses]
        left = [each for each, why in zip(addresses, objections, strict=True) if why is None]
        if addresses and not left:
            said = addresses[0] if named else "its address"
            raise NotReachedError(
                f"cannot connect: {said} is not connected to: {objections[0]} address"
            )
        return left

    async def _ask_name_server(self, host: str, port: int, *, named: bool = True) -> list[str]:
        try:
            async with asyncio.timeout(LOOKUP_SECONDS):
                return sorted(await self._resolve(host, port))
        except TimeoutError:
            words = f"no name server says within {LOOKUP_SECONDS:g} s where it is"
            raise SourceError(f"{host}: {words}" if named else words) from None
        except SourceError as error:
            raise error if named else SourceError("its host is not found") from None

    def _is_listed(self, host: str, port: int) -> bool:
        """Whether an administrator named this host: one that is merely like it leads elsewhere."""
        return self._allowed.covers(host, port) or (shorten(host), port) == self._shared

    async def _check_apiserver(self, found: Sequence[str], port: int) -> None:
        """Nobody is led to the apiserver, whatever is listed."""
        refused = await self._find_apiserver()
        if any((each, port) in refused for each in _read_plain(found)):
            raise NotReachedError("that is the apiserver, which is asked for nobody")

    async def _find_apiserver(self) -> frozenset[Place]:
        """Where it was ever found, however many there are of it."""
        if self._refused[0] and self._refreshing.locked():
            return self._refused[0]  # so nobody waits for an apiserver that is slow to say it
        async with self._refreshing:
            known, until = self._refused
            if self._apiserver is not None and self._clock() >= until:
                known, until = await self._refresh_apiserver(self._apiserver, set(known))
                self._refused = known, until
            return known

    async def _refresh_apiserver(
        self, apiserver: URL, known: set[Place]
    ) -> tuple[frozenset[Place], float]:
        """The address that is used here, what it says of itself, and who is behind its Service.

        An operator of some namespaces alone may not see the last.
        """
        host, port = simplify(apiserver.host or ""), apiserver.port or 443
        seconds = KEPT_SECONDS
        try:
            with looking_up_for(""):  # not for whoever happens to be first
                used = [host] if read_address(host) else await self._ask_name_server(host, port)
            known.update((each, port) for each in _read_plain(used))
            for said, own_port in await self._advertised() if self._advertised else ():
                known.update((each, own_port) for each in _read_plain([said]))
            if self._cluster_wide:
                known.update(await self._list_apiservers())
        except CanariumError as error:
            logger.debug("where the apiserver is was not all found: %s", error)
            seconds = MISSING_SECONDS
        return frozenset(known), self._clock() + seconds

    async def _list_apiservers(self) -> set[Place]:
        found = set[Place]()
        selector = f"{NAME_OF_SLICES}={APISERVER[1]}"
        async for page in self._client.list_pages(ENDPOINT_SLICES, APISERVER[0], selector):
            for each in map(_decode_slice, page.items or ()):
                said = (
                    address for endpoint in each.endpoints or () for address in endpoint.addresses
                )
                plain, ports = _read_plain(said), [port.port or 0 for port in each.ports or ()]
                found.update((address, port) for address in plain for port in ports)
        return found


def _read_plain(found: Iterable[str]) -> list[Address]:
    """Addresses, without the disguises that an IPv4 one may have."""
    read = (each for each in map(read_address, found) if each is not None)
    return [plain for each in read for plain in unwrap(each)]


def _keep_endpoints(found: tuple[str, ...]) -> _Kept:
    if not found:
        return _Kept(problem=f"{_WHAT} has no ready endpoints", seconds=MISSING_SECONDS)
    return _Kept(found[:MOST_DIALLED], seconds=ENDPOINTS_SECONDS)


def find_own_name(host: str, namespace: str) -> str:
    """The name of the Service of this namespace that a host is."""
    service = find_service(host, namespace)
    if service is None:
        raise AssertionError("asked of Services alone")
    return service[0]


def _object_to(spec: _ServiceSpec) -> str:
    if spec.type == "ExternalName" or spec.external_name:
        return "is an alias (ExternalName), which is not followed"
    return "" if spec.selector else "has no selector, so it may lead anywhere: it is not followed"
