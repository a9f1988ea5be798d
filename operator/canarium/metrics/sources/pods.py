"""Readings from the pods themselves: their metrics endpoints, all at once, each with a deadline.

What a pod answers is never trusted: size, time and content are limited, redirects aren't
followed, nothing of ours is sent along. Whatever goes wrong is a value, one for each pod.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Literal

import aiohttp

from canarium.core.spec import Protocol
from canarium.failures import explain_failure
from canarium.judge import Reading, Sample
from canarium.metrics.counters import (
    Counters,
    MetricsPage,
    Parser,
    Tracker,
    UnreadableMetricsError,
    get_only,
)
from canarium.metrics.kept_counters import KeptCounters
from canarium.outbound.errors import SourceError, make_printable, take_for_failed
from canarium.outbound.fetching import not_counted, read_chunks
from canarium.outbound.forbidden_addresses import BUFFER_BYTES, make_short_socket
from canarium.outbound.sharing import Shares
from canarium.queries.profiles import GRPC_PROFILES, PROFILES, Profile, find_close


@dataclass(frozen=True, slots=True)
class PodTarget:
    """A metrics endpoint: `url` is absolute, with the pod's address; `profile` names a profile.

    Of a profile of Canarium's own `protocol` says which calls are counted; one of a user's counts
    what it says.
    """

    pod: str
    url: str
    profile: str
    revision: str = ""
    protocol: Protocol = "HTTP"
    authorization: str | None = field(default=None, repr=False)
    """The header that proves who asks; None sends nothing of ours along."""
    identity: str = field(default="", compare=False)
    """Of the pod's processes: another one when any of them was restarted. "" is unknown."""
    namespace: str = field(default="", compare=False)
    """Whose turn it is when its metrics are read."""


@dataclass(frozen=True, slots=True)
class Scrape:
    """What came of one target: its counters, or in a few printable words why there are none."""

    target: PodTarget
    counters: Counters | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class ScrapeError:
    """A pod that couldn't be read."""

    pod: str
    revision: str
    message: str


@dataclass(frozen=True, slots=True)
class Missing:
    """What the metrics of a revision (of the gateway, when "") don't have, though they were read.

    `name` is "" where the profile knows of no counter that errors could be told by.
    """

    revision: str
    profile: str
    name: str
    counts: Literal["Answers", "Durations"]


@dataclass(frozen=True, slots=True)
class Measurement:
    """A reading, the pods that are left out of it, and what those that were read don't count.

    `counted` is where the counters of the pods that were read stand now, by the identity of their
    processes. `resumed`: the reading goes back to counters that were kept, those of some pods only,
    so it says nothing of how the answers were shared out.
    """

    reading: Reading
    errors: tuple[ScrapeError, ...] = ()
    missing: tuple[Missing, ...] = ()
    counted: Mapping[str, Counters] = field(default_factory=dict, compare=False)
    resumed: bool = False


def make_session() -> aiohttp.ClientSession:
    """Make a session that sends no cookies, credentials or user's proxies along."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, socket_factory=make_short_socket),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
    )


class PodsSource:
    """Scrapes metrics endpoints of pods.

    At most `max_pods` of a call's targets are asked, always the same ones while they last. A
    scrape takes at most `timeout_seconds` and `max_bytes`.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        *,
        timeout_seconds: float = 0.8,
        max_bytes: int = 5 * 1024 * 1024,
        max_pods: int = 10,
        profiles: Mapping[str, Profile] = PROFILES,
        grpc_profiles: Mapping[str, Profile] = GRPC_PROFILES,
        shares: Shares | None = None,
    ) -> None:
        self._session = session
        self._shares = shares or Shares()
        self._timeout_seconds = timeout_seconds
        self._max_bytes = max_bytes
        self._max_pods = max_pods
        self._parsers: dict[Protocol, dict[str, Parser]] = {
            "HTTP": {name: Parser(profile) for name, profile in profiles.items()},
            "GRPC": {name: Parser(profile) for name, profile in grpc_profiles.items()},
        }
        self._own: dict[str, tuple[Profile, Parser]] = {}

    def use(self, profiles: Mapping[str, Profile]) -> None:
        """Have these profiles of users beside Canarium's from now on, instead of earlier ones."""
        self._own = {
            name: self._own[name]
            if name in self._own and self._own[name][0] == profile
            else (profile, Parser(profile))
            for name, profile in profiles.items()
        }

    async def fetch(self, targets: Sequence[PodTarget]) -> tuple[Scrape, ...]:
        """Scrape the targets, all at once."""
        chosen = sorted(targets, key=lambda target: target.pod)[: self._max_pods]
        return tuple(await asyncio.gather(*map(self._scrape, chosen)))

    def _find_parser(self, target: PodTarget) -> Parser:
        """What reads a target's metrics. Raises UnreadableMetricsError."""
        own = self._own.get(target.profile)
        parser = self._parsers[target.protocol].get(target.profile) or (own and own[1])
        if parser is not None:
            return parser
        if target.profile in self._parsers["HTTP"]:
            raise UnreadableMetricsError(f"profile {target.profile} counts no calls by gRPC")
        raise UnreadableMetricsError(self._say_unknown(target.profile))

    def _say_unknown(self, name: str) -> str:
        """That there is no such profile, and which one may be meant."""
        close = find_close(name, [*self._parsers["HTTP"], *self._own])
        hint = f": did you mean {close}?" if close else ""
        return f"there is no profile {name}{hint}"

    async def _scrape(self, target: PodTarget) -> Scrape:
        try:
            page = self._find_parser(target).open()
            async with self._shares.pods.hold(target.namespace, 1):
                async with asyncio.timeout(self._timeout_seconds) as deadline:
                    await self._read(target, page, deadline)
            return Scrape(target, get_only(page))
        except TimeoutError:
            return Scrape(target, error=f"no answer within {self._timeout_seconds:g} s")
        except (SourceError, UnreadableMetricsError) as error:
            return Scrape(target, error=make_printable(str(error)))
        except (aiohttp.ClientError, OSError) as error:
            return Scrape(target, error=make_printable(explain_failure(error)))
        except Exception as error:  # noqa: BLE001 - one pod's answer must not hide the others'
            return Scrape(target, error=str(take_for_failed(error)))

    async def _read(self, target: PodTarget, page: MetricsPage, deadline: asyncio.Timeout) -> None:
        """Read a pod's metrics as they come; the deadline is the pod's, not for our own work."""
        headers = {"Accept": "text/plain;version=0.0.4", "Accept-Encoding": "identity"}
        if target.authorization is not None:
            headers["Authorization"] = target.authorization
        turns = self._shares.turns
        async with self._session.get(
            target.url,
            allow_redirects=False,
            auto_decompress=False,
            headers=headers,
            read_bufsize=BUFFER_BYTES,
            timeout=aiohttp.ClientTimeout(total=None),
        ) as response:
            if response.status != 200:
                raise UnreadableMetricsError(f"HTTP status {response.status}")
            async for piece in read_chunks(response, self._max_bytes):
                reading = turns.run_slices(target.namespace, page.feed(piece))
                await not_counted(deadline, reading)


class PodsMeter:
    """Reads the counters of both revisions, again and again: one for each rollout being judged."""

    def __init__(self, source: PodsSource, clock: Callable[[], float] = time.monotonic) -> None:
        self._source = source
        self._clock = clock
        self._tracker = Tracker()
        self._kept = KeptCounters({})
        self._read_at: float | None = None

    def resume(self, kept: Mapping[str, Counters]) -> None:
        """Count on from where the counters of pods stood, by the identity of their processes."""
        self._kept = KeptCounters(kept)

    async def measure(
        self, stable_targets: Sequence[PodTarget], canary_targets: Sequence[PodTarget]
    ) -> Measurement:
        """Read both revisions at once.

        A pod's first reading is its baseline and tells nothing, unless it is known where its
        counters stood.
        """
        stable, canary = await asyncio.gather(
            self._source.fetch(stable_targets), self._source.fetch(canary_targets)
        )
        now = self._clock()
        seconds = 0.0 if self._read_at is None else now - self._read_at
        self._read_at = now
        scrapes = (*stable, *canary)
        self._tracker.forget_others(scrape.target.pod for scrape in scrapes)
        resumed = self._kept.take_up(
            self._tracker,
            ((each.target.pod, each.target.identity, each.counters) for each in scrapes),
        )
        reading = Reading(seconds, self._compute_sample(stable), self._compute_sample(canary))
        missing = (*_list_missing_from(stable), *_list_missing_from(canary))
        counted = {
            each.target.identity: each.counters
            for each in _by_turns(canary, stable)
            if each.counters
        }
        return Measurement(reading, _list_errors(scrapes), missing, counted, resumed)

    def _compute_sample(self, scrapes: Sequence[Scrape]) -> Sample | None:
        return self._tracker.compute_sample(
            {scrape.target.pod: scrape.counters for scrape in scrapes if scrape.counters}
        )


def _by_turns(first: Sequence[Scrape], second: Sequence[Scrape]) -> Iterator[Scrape]:
    """One of each after the other: what has room for some only has it for both alike."""
    pairs = zip_longest(first, second)
    return (each for pair in pairs for each in pair if each is not None)


def _list_missing_from(scrapes: Sequence[Scrape]) -> tuple[Missing, ...]:
    counted = [scrape.counters for scrape in scrapes if scrape.counters]
    target = scrapes[0].target if scrapes else None
    return list_missing(target.revision, target.profile, counted) if target else ()


def list_missing(revision: str, profile: str, counted: Iterable[Counters]) -> tuple[Missing, ...]:
    """List what none of these pods, which are of one revision, has."""
    pods = list(counted)
    if not pods:
        return ()
    silent = not any(each.counts_answers for each in pods)
    answers = (pods[0].missing or ("",)) if silent else ()
    unmeasured = all(each.missing_duration for each in pods)
    durations = (pods[0].missing_duration,) if unmeasured else ()
    return (
        *(Missing(revision, profile, name, "Answers") for name in answers),
        *(Missing(revision, profile, name, "Durations") for name in durations),
    )


def _list_errors(scrapes: Sequence[Scrape]) -> tuple[ScrapeError, ...]:
    return tuple(
        ScrapeError(scrape.target.pod, scrape.target.revision, scrape.error)
        for scrape in scrapes
        if scrape.error is not None
    )
