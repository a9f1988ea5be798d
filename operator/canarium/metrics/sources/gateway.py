"""Readings from the gateway itself: its counters of what each revision's Service answered.

Unlike the pods it also sees answers that no pod gave. All pods behind the address of its metrics
are asked, all at once, and followed one by one. What they answer is large and read once for all who
ask: it is counted as it comes, and not kept.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import TypeAlias

import aiohttp

from canarium.core.plan import GatewayKind
from canarium.failures import explain_failure, explain_lookup
from canarium.judge import Reading, Sample
from canarium.metrics.counters import Counters, MetricsPage, Parser, Tracker, UnreadableMetricsError
from canarium.metrics.sources.pods import Measurement, ScrapeError, list_missing
from canarium.outbound import lookups
from canarium.outbound.auth import NOBODY, Credentials
from canarium.outbound.errors import SourceError, take_for_failed
from canarium.outbound.fetching import (
    Limits,
    OutboundRequest,
    asking,
    not_counted,
    read_chunks,
)
from canarium.outbound.forbidden_addresses import check_address
from canarium.outbound.lookups import looking_up_for
from canarium.outbound.sharing import Room, Shares
from canarium.routing.gateway_counters import make_profile

Resolve: TypeAlias = Callable[[str, int], Awaitable[Sequence[str]]]
"""From a host and port to addresses."""
Authorize: TypeAlias = Callable[[], Awaitable[Credentials]]
"""Whom one asks as, by now."""

Wanted: TypeAlias = tuple[GatewayKind, "Backend"]
"""What is counted."""
Counted: TypeAlias = Mapping[Wanted, Counters | UnreadableMetricsError]
Answers: TypeAlias = Mapping[str, Counted | SourceError]
"""What each address counts, or why there is nothing."""

MAX_PODS = 20
FRESH_SECONDS = 1.0
WANTED_SECONDS = 10.0
"How long something is counted for others' sake that nobody asks for any more."
GATEWAY_LIMITS = Limits(timeout_seconds=3.0, max_bytes=16 * 1024 * 1024)
"""A gateway tells of all that it serves, not of one model."""


@dataclass(frozen=True, slots=True)
class Backend:
    """A revision's Service, and the route that leads to it (both in one namespace)."""

    namespace: str
    service: str
    route: str


@dataclass(frozen=True, slots=True)
class _Look:
    """One look at all pods: since when, what is counted, and what that comes to."""

    at: float
    wanted: frozenset[Wanted]
    answers: asyncio.Task[Answers]


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
        shares: Shares | None = None,
    ) -> None:
        self._session = session
        self._url = check_address(address)
        self._authorize = authorize or _as_nobody
        self._limits = limits
        self._clock = clock
        self._shares = shares or Shares()
        self._resolve = resolve or partial(look_up, room=self._shares.lookups)
        self._wanted: dict[Wanted, tuple[float, Parser]] = {}
        "Since when nobody asked, and what reads it."
        self._look: _Look | None = None

    async def count(self, kind: GatewayKind, backends: Sequence[Backend]) -> Answers:
        """Have these counted at all pods, or take what was counted up to a second ago.

        Raises SourceError when no pod is found.
        """
        now, wanted = self._clock(), frozenset((kind, backend) for backend in backends)
        self._want(wanted, now)
        look = self._look
        while look is not None and not wanted <= look.wanted and not look.answers.done():
            await asyncio.wait([look.answers])  # one look at a time: the next one is for all
            look = self._look
        if look is None or not wanted <= look.wanted or now - look.at >= FRESH_SECONDS:
            look = self._look = self._begin(now, backends[0].namespace)
        # Shielded: one rollout that ends must not take the answers from the others.
        return await asyncio.shield(look.answers)

    def _want(self, wanted: Iterable[Wanted], now: float) -> None:
        """Remember what is asked for, and forget what nobody has asked for lately."""
        for each in wanted:
            known = self._wanted.get(each)
            self._wanted[each] = now, known[1] if known else make_parser(*each)
        gone = [each for each, (at, _) in self._wanted.items() if now - at > WANTED_SECONDS]
        for each in gone:
            del self._wanted[each]

    def _begin(self, now: float, owner: str) -> _Look:
        parsers = {each: parser for each, (_, parser) in self._wanted.items()}
        looking = asyncio.create_task(self._ask_all(parsers, owner))
        return _Look(now, frozenset(parsers), looking)

    async def _ask_all(self, parsers: Mapping[Wanted, Parser], owner: str) -> Answers:
        host, port = self._url.host or "", self._url.port or 80
        credentials = await self._authorize()
        with looking_up_for(owner):
            addresses = sorted(await self._find(host, port))[:MAX_PODS]
        answers = await asyncio.gather(
            *(self._ask(each, credentials, parsers, owner) for each in addresses)
        )
        return dict(zip(addresses, answers, strict=True))

    async def _find(self, host: str, port: int) -> Sequence[str]:
        """Look the pods' addresses up; a name server has no more time than a pod."""
        try:
            async with asyncio.timeout(self._limits.timeout_seconds):
                return await self._resolve(host, port)
        except TimeoutError:
            seconds = self._limits.timeout_seconds
            raise SourceError(f"{host} is not found within {seconds:g} s") from None

    async def _ask(
        self, address: str, credentials: Credentials, parsers: Mapping[Wanted, Parser], owner: str
    ) -> Counted | SourceError:
        request = OutboundRequest(
            "GET",
            self._url.with_host(address),
            "text/plain;version=0.0.4",
            credentials=credentials,
            host=self._url.host,
            owner=owner,
        )
        try:
            return await self._read(request, parsers)
        except TimeoutError:
            return SourceError(f"no answer within {self._limits.timeout_seconds:g} s")
        except (SourceError, UnreadableMetricsError) as error:
            return SourceError(str(error))
        except (aiohttp.ClientError, OSError) as error:
            return SourceError(explain_failure(error))
        except Exception as error:  # noqa: BLE001 - one pod must not hide the others
            return SourceError(str(take_for_failed(error)))

    async def _read(self, request: OutboundRequest, parsers: Mapping[Wanted, Parser]) -> Counted:
        """Count what comes, a kind of gateway by itself; the deadline is not for our own work."""
        kinds = {kind for kind, _ in parsers}
        of_kinds = [[each for each in parsers if each[0] == kind] for kind in sorted(kinds)]
        pages = [MetricsPage([parsers[each] for each in alike]) for alike in of_kinds]
        async with self._shares.requests.hold(request.owner, 1):
            async with asyncio.timeout(self._limits.timeout_seconds) as deadline:
                async with asking(self._session, request) as response:
                    if response.status != 200:
                        raise SourceError(f"HTTP status {response.status}")
                    async for piece in read_chunks(response, self._limits.max_bytes):
                        steps = chain.from_iterable(page.feed(piece) for page in pages)
                        reading = self._shares.turns.run_slices(request.owner, steps)
                        await not_counted(deadline, reading)
        return {
            each: found
            for alike, page in zip(of_kinds, pages, strict=True)
            for each, found in zip(alike, page.finish(), strict=True)
        }


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
        backends = [backend for backend in (stable, canary) if backend is not None]
        answers = await self._source.count(self._kind, backends)
        counted, errors = self._sort(answers, backends)
        if not any(counted.values()):
            raise SourceError(errors[0].message if errors else "nobody answers")
        now = self._clock()
        seconds = 0.0 if self._read_at is None else now - self._read_at
        self._read_at = now
        samples = {each: self._compute(each, counted[each], answers) for each in backends}
        reading = Reading(seconds, samples[stable] if stable else None, samples[canary])
        return Measurement(reading, errors, list_missing("", self._kind, counted[canary].values()))

    def _sort(
        self, answers: Answers, backends: Sequence[Backend]
    ) -> tuple[dict[Backend, dict[str, Counters]], tuple[ScrapeError, ...]]:
        counted: dict[Backend, dict[str, Counters]] = {backend: {} for backend in backends}
        errors: dict[str, ScrapeError] = {}
        for address, answer in answers.items():
            for backend in backends:
                found = answer if isinstance(answer, SourceError) else answer[self._kind, backend]
                if isinstance(found, Counters):
                    counted[backend][address] = found
                else:
                    errors[address] = ScrapeError(address, "", str(found))
        return counted, tuple(errors.values())

    def _compute(
        self, backend: Backend, counted: Mapping[str, Counters], looked_at: Iterable[str]
    ) -> Sample | None:
        tracker = self._trackers.setdefault(backend, Tracker())
        tracker.forget_others(looked_at)  # addresses are a name server's, as many as it likes
        return tracker.compute_sample(counted)


async def _as_nobody() -> Credentials:
    return NOBODY


def make_parser(kind: GatewayKind, backend: Backend) -> Parser:
    """Make what reads one Service's series from a gateway's metrics."""
    return Parser(make_profile(kind, backend.namespace, backend.service, backend.route))


async def look_up(host: str, port: int, *, room: Room) -> tuple[str, ...]:
    """Look a host's addresses up. Raises SourceError."""
    try:
        found = await lookups.look_up(host, port, room)
    except OSError as error:
        raise SourceError(f"{host} is not found: {explain_lookup(error)}") from error
    return tuple({each["host"] for each in found})
