"""Readings from the gateway itself: its counters of what each revision's Service answered.

Unlike the pods it also sees answers that no pod gave. All pods behind the address of its metrics
are asked, all at once, and followed one by one.
"""

from __future__ import annotations

import asyncio
import re
import socket
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal, TypeAlias

import aiohttp

from canarium.core.profiles import ISTIO, TRAEFIK, Profile
from canarium.failures import explain_lookup
from canarium.judge import Reading, Sample
from canarium.sources.addresses import check_address
from canarium.sources.auth import NOBODY, Credentials
from canarium.sources.counters import Counters, Parser, Tracker, UnreadableMetricsError
from canarium.sources.errors import SourceError, take_for_failed
from canarium.sources.fetching import Limits, Request, fetch
from canarium.sources.pods import Measurement, ScrapeError, list_missing

GatewayKind: TypeAlias = Literal["Traefik", "Istio"]
Resolve: TypeAlias = Callable[[str, int], Awaitable[Sequence[str]]]
"""From a host and port to addresses."""
Authorize: TypeAlias = Callable[[], Awaitable[Credentials]]
"""Whom one asks as, by now."""

Answers: TypeAlias = Mapping[str, bytes | SourceError]
"""What each address answered: metrics, or why there are none."""

MAX_PODS = 20
FRESH_SECONDS = 1.0
GATEWAY_LIMITS = Limits(timeout_seconds=3.0, max_bytes=16 * 1024 * 1024)
"""A gateway tells of all that it serves, not of one model."""


@dataclass(frozen=True, slots=True)
class Backend:
    """A revision's Service, and the route that leads to it (both in one namespace)."""

    namespace: str
    service: str
    route: str


class GatewaySource:
    """Scrapes the pods of one gateway, once for all rollouts that ask at about the same time.

    Raises ValueError for an address that is none.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        address: str,
        *,
        authorize: Authorize | None = None,
        limits: Limits = GATEWAY_LIMITS,
        resolve: Resolve | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._session = session
        self._url = check_address(address)
        self._authorize = authorize or _as_nobody
        self._limits = limits
        self._resolve = resolve or look_up
        self._clock = clock
        self._asked: tuple[float, asyncio.Task[Answers]] | None = None

    async def fetch(self) -> Answers:
        """Ask all pods for their metrics, or take what was asked for up to a second ago.

        Raises SourceError when no pod is found.
        """
        now = self._clock()
        if self._asked is None or now - self._asked[0] >= FRESH_SECONDS:
            self._asked = now, asyncio.create_task(self._ask_all())
        # Shielded: one rollout that ends must not take the answers from the others.
        return await asyncio.shield(self._asked[1])

    async def _ask_all(self) -> Answers:
        host, port = self._url.host or "", self._url.port or 80
        credentials = await self._authorize()
        addresses = sorted(await self._resolve(host, port))[:MAX_PODS]
        answers = await asyncio.gather(*(self._ask(each, credentials) for each in addresses))
        return dict(zip(addresses, answers, strict=True))

    async def _ask(self, address: str, credentials: Credentials) -> bytes | SourceError:
        request = Request(
            "GET",
            self._url.with_host(address),
            "text/plain;version=0.0.4",
            credentials=credentials,
            host=self._url.host,
        )
        try:
            answer = await fetch(self._session, request, self._limits)
        except SourceError as error:
            return error
        if answer.status != 200:
            return SourceError(f"HTTP status {answer.status}")
        return bytes(answer.body)


class GatewayMeter:
    """Reads both revisions from one gateway, again and again: one for each rollout being judged."""

    def __init__(
        self,
        source: GatewaySource,
        kind: GatewayKind,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source
        self._kind = kind
        self._clock = clock
        self._trackers: dict[Backend, Tracker] = {}
        self._read_at: float | None = None

    async def measure(self, stable: Backend | None, canary: Backend) -> Measurement:
        """Read both revisions over the same moments. A pod's first reading tells nothing.

        Raises SourceError when no pod of the gateway could be read; those that couldn't, of
        several, are in the measurement's errors and lose nothing by it.
        """
        answers = await self._source.fetch()
        backends = [backend for backend in (stable, canary) if backend is not None]
        counted, errors = await asyncio.to_thread(self._count, answers, backends)
        if not any(counted.values()):
            raise SourceError(errors[0].message if errors else "nobody answers")
        now = self._clock()
        seconds = 0.0 if self._read_at is None else now - self._read_at
        self._read_at = now
        samples = {backend: self._compute(backend, counted[backend]) for backend in backends}
        reading = Reading(seconds, samples[stable] if stable else None, samples[canary])
        return Measurement(reading, errors, list_missing("", self._kind, counted[canary].values()))

    def _count(
        self, answers: Answers, backends: Sequence[Backend]
    ) -> tuple[dict[Backend, dict[str, Counters]], tuple[ScrapeError, ...]]:
        counted: dict[Backend, dict[str, Counters]] = {backend: {} for backend in backends}
        errors = []
        for address, answer in answers.items():
            if isinstance(answer, SourceError):
                errors.append(ScrapeError(address, "", str(answer)))
                continue
            try:
                for backend in backends:
                    counted[backend][address] = make_parser(self._kind, backend).parse(answer)
            except UnreadableMetricsError as error:
                errors.append(ScrapeError(address, "", str(error)))
            except Exception as error:  # noqa: BLE001 - one pod must not hide the others
                errors.append(ScrapeError(address, "", str(take_for_failed(error))))
        return counted, tuple(errors)

    def _compute(self, backend: Backend, counted: Mapping[str, Counters]) -> Sample | None:
        return self._trackers.setdefault(backend, Tracker()).compute_sample(counted)


async def _as_nobody() -> Credentials:
    return NOBODY


@lru_cache(maxsize=256)
def make_parser(kind: GatewayKind, backend: Backend) -> Parser:
    """Make what reads one Service's series from a gateway's metrics."""
    return Parser(_make_traefik(backend) if kind == "Traefik" else _make_istio(backend))


async def look_up(host: str, port: int) -> tuple[str, ...]:
    """Look a host's addresses up. Raises SourceError."""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise SourceError(f"{host} is not found: {explain_lookup(error)}") from error
    return tuple({str(info[4][0]) for info in found})


def _make_traefik(backend: Backend) -> Profile:
    """Traefik names a service after the route and the Service (Gateway API), or by its port.

    Names are joined by hyphens, so a Service of another namespace could be named to look alike;
    with Traefik's option safeNaming those of its own kinds are joined by an underscore.
    """
    namespace, service, route = map(_normalize, (backend.namespace, backend.service, backend.route))
    by_route = (
        rf"(?:http|grpc)route-{namespace}-{route}-gw-.+"
        rf"-svc-{re.escape(backend.namespace)}-{re.escape(backend.service)}-\d+@kubernetesgateway"
    )
    by_port = rf"{namespace}-{service}-\d+@kubernetescrd"
    safely = rf"{re.escape(backend.namespace)}_{re.escape(backend.service)}_\d+@kubernetescrd"
    pattern = f"{by_route}|{by_port}|{safely}"
    labels = (*TRAEFIK.labels, ("service", pattern))
    return replace(TRAEFIK, labels=labels, needle=_get_last_part(service))


def _make_istio(backend: Backend) -> Profile:
    labels = (
        ("destination_service_name", re.escape(backend.service)),
        ("destination_service_namespace", re.escape(backend.namespace)),
    )
    return replace(ISTIO, labels=(*ISTIO.labels, *labels), needle=_get_last_part(backend.service))


def _normalize(name: str) -> str:
    """As Traefik does: what is no letter or digit becomes one hyphen."""
    return "-".join(re.findall(r"[^\W_]+", name))


def _get_last_part(service: str) -> str:
    """What every spelling of the Service's name has in it: usually the revision."""
    return _normalize(service).rpartition("-")[2]
