"""Which of several operators acts: a Lease, renewed while one lives.

Clocks of other machines are not trusted: a lease counts as expired when nobody has been *seen* to
renew it for its duration, on our own monotonic clock.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec

from canarium.core.status import format_time, read_time
from canarium.errors import CanariumError, ConflictError, NotFoundError
from canarium.kube.client import Client
from canarium.kube.clock import ClusterClock
from canarium.kube.kinds import LEASES

logger = logging.getLogger(__name__)

RELEASE_TRIES = 3


class LeaseLostError(CanariumError):
    """The lease could not be renewed in time: another operator may be acting by now."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds: how long a lease lasts, how long its holder goes on without renewing, how often."""

    duration: float = 15.0
    deadline: float = 10.0
    period: float = 2.0

    @property
    def patience(self) -> float:
        """How long one try may take: after a connection that says nothing there is another."""
        return 0.6 * self.deadline

    @property
    def end(self) -> float:
        """When the last try has to be over, safely before others may take the lease."""
        return (self.deadline + self.duration) / 2


class _Spec(msgspec.Struct, rename="camel"):
    holder_identity: str = ""
    renew_time: str = ""
    lease_transitions: int = 0


class _Metadata(msgspec.Struct, rename="camel"):
    resource_version: str = ""


class _Lease(msgspec.Struct):
    metadata: _Metadata
    spec: _Spec = msgspec.field(default_factory=_Spec)


_Renewal = tuple[float, float, float]
"When another holder says that it renewed the lease, and between which moments (monotonic) it did."
_decode = msgspec.json.Decoder(_Lease).decode


class Lease:
    """One lease, and this process as one who wants it."""

    def __init__(
        self,
        client: Client,
        namespace: str,
        name: str,
        identity: str,
        *,
        timing: Timing | None = None,
        clock: Callable[[], float] = time.monotonic,
        time_of_day: ClusterClock | None = None,
    ) -> None:
        self._client = client
        self._namespace = namespace
        self._name = name
        self._identity = identity
        self._timing = timing or Timing()
        self._clock = clock
        self._time_of_day = time_of_day or ClusterClock(monotonic=clock)
        self._looked_at = float("-inf")
        self._renewal: _Renewal | None = None
        self._gap_seconds = 0.0
        self._renewed_before = float("inf")
        self._seen: _Lease | None = None
        self._seen_at = float("-inf")
        self._renewed_at = float("-inf")

    async def acquire(self) -> None:
        """Wait until the lease is ours; standbys look every two seconds, and when it expires."""
        while True:
            if await self._attempt(self._take, 2 * self._timing.patience):
                break
            await asyncio.sleep(self._compute_pause())
        if self._renewal is not None:
            self._time_of_day.follow(*self._renewal)
        self._gap_seconds = max(0.0, self._time_of_day.now() - self._renewed_before)
        logger.info("leading as %s", self._identity)

    def _compute_pause(self) -> float:
        """Seconds until the next look: one that came a whole period late would be a gap."""
        pause = self._timing.period * random.uniform(0.8, 1.0)  # noqa: S311
        left = self._seen_at + self._timing.duration - self._clock()
        return min(pause, left) if left > 0 else pause

    @property
    def gap_seconds(self) -> float:
        """How long nobody had renewed it when it became ours; as far as clocks tell."""
        return self._gap_seconds

    async def hold(self) -> None:
        """Renew until cancelled; raises `LeaseLostError` when that didn't work for too long."""
        tried_at = self._renewed_at
        while True:
            await asyncio.sleep(max(0.0, tried_at + self._timing.period - self._clock()))
            tried_at = self._clock()
            left = max(0.0, self._renewed_at + self._timing.end - tried_at)
            seconds = min(self._timing.patience, left)
            if not await self._attempt(self._renew, seconds) and self._is_lost():
                raise LeaseLostError(f"the lease {self._namespace}/{self._name} is lost")

    @property
    def is_held(self) -> bool:
        """Whether the lease is ours, by our own clock, and nobody else can have it yet."""
        return self._clock() - self._renewed_at < self._timing.end

    def _is_lost(self) -> bool:
        return self._is_others() or self._clock() - self._renewed_at >= self._timing.deadline

    async def release(self) -> None:
        """Give the lease back, so that a standby need not wait for it to expire.

        Tried again after a conflict: a renewal that was cancelled may have landed all the same.
        """
        for _ in range(RELEASE_TRIES):
            seen = self._seen
            if seen is None or seen.spec.holder_identity != self._identity:
                break
            given_back = await self._attempt(partial(self._write, "", seen), self._timing.patience)
            if given_back or self._seen is seen:  # nobody has written it: there was no answer
                break

    async def _attempt(self, step: Callable[[], Any], seconds: float) -> bool:
        """One try, which must not take longer than so many seconds."""
        try:
            async with asyncio.timeout(seconds):
                try:
                    return bool(await step())
                except ConflictError:
                    await self._look()
        except (CanariumError, TimeoutError) as error:
            self._warn(error)
        return False

    def _warn(self, error: Exception) -> None:
        what = str(error) or "no answer"
        logger.warning("lease %s/%s: %s", self._namespace, self._name, what)

    async def _take(self) -> bool:
        lease = await self._read()
        if lease is None:
            return await self._create()
        self._note(lease)
        renewed = read_time(lease.spec.renew_time)
        if renewed is not None:
            self._renewed_before = renewed
        holder = lease.spec.holder_identity
        if holder not in ("", self._identity) and not self._is_expired():
            return False
        return await self._write(self._identity, lease)

    async def _renew(self) -> bool:
        """Renew it; one that somebody has deleted is made anew, if nobody else was quicker."""
        if self._is_others():
            return False
        try:
            return await self._write(self._identity, self._seen)
        except NotFoundError:
            return await self._create()

    async def _look(self) -> None:
        """See whose the lease is after a conflict: somebody has written it."""
        try:
            lease = await self._read()
        except CanariumError as error:
            self._warn(error)
            return
        if lease is not None:
            self._note(lease)

    async def _read(self) -> _Lease | None:
        try:
            return _decode(await self._client.get(LEASES, self._namespace, self._name))
        except NotFoundError:
            return None

    async def _create(self) -> bool:
        body = self._make_body(self._identity, None)
        started = self._clock()
        self._note(_decode(await self._client.create(LEASES, self._namespace, body, "canarium")))
        self._renewed_at = started
        return True

    async def _write(self, identity: str, lease: _Lease | None) -> bool:
        body = self._make_body(identity, lease)
        started = self._clock()
        raw = await self._client.replace(LEASES, self._namespace, self._name, body)
        self._note(_decode(raw))
        self._renewed_at = started
        return True

    def _make_body(self, identity: str, lease: _Lease | None) -> dict[str, Any]:
        now = format_time(self._time_of_day.now())[:-1] + "000Z"
        version = {"resourceVersion": lease.metadata.resource_version} if lease else {}
        before = lease.spec if lease else _Spec(holder_identity=identity)
        is_another = identity not in ("", before.holder_identity)
        return {
            "apiVersion": LEASES.api_version,
            "kind": LEASES.kind,
            "metadata": {"name": self._name, "namespace": self._namespace, **version},
            "spec": {
                "holderIdentity": identity,
                "leaseDurationSeconds": max(1, round(self._timing.duration)),
                "renewTime": now,
                "leaseTransitions": before.lease_transitions + is_another,
            },
        }

    def _note(self, lease: _Lease) -> None:
        looked_at, self._looked_at = self._looked_at, self._clock()
        if self._seen is None or self._seen.spec != lease.spec:
            self._seen_at = self._looked_at
            written = read_time(lease.spec.renew_time)
            if written is not None and self._is_anothers(lease):
                self._renewal = (written, looked_at, self._looked_at)
        self._seen = lease

    def _is_anothers(self, lease: _Lease) -> bool:
        """Whether somebody else wrote it since the last look; of a release, who gave it back."""
        if self._seen is None:
            return False
        holder = lease.spec.holder_identity or self._seen.spec.holder_identity
        return holder not in ("", self._identity)

    def _is_expired(self) -> bool:
        return self._clock() - self._seen_at >= self._timing.duration

    def _is_others(self) -> bool:
        return self._seen is None or self._seen.spec.holder_identity not in ("", self._identity)
