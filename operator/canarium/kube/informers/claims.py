"""Which ModelDeployments ask for the same host name and path at the same parent, and since when."""

from __future__ import annotations

import math
from bisect import bisect_left

from canarium.core.observed import Claim, ModelObject, Rival
from canarium.kube.informers.store import Key
from canarium.routing.claims import list_claims

Wanted = tuple[Claim, ...]
Rank = tuple[float, Key]
"What gateways go by: the time of a route's creation, then namespace and name."
MOST = 4
"How many rivals are looked at for one claim: whoever crowds at an address costs no more than this."


class Claims:
    """An index of what models ask for, so that nobody looks through all models at each pass."""

    def __init__(self) -> None:
        self._wanted: dict[Key, Wanted] = {}
        self._askers: dict[Claim, set[Key]] = {}
        self._created: dict[Key, float] = {}
        "When a model's route was created (epoch seconds); nothing of those without one."
        self._ranks: dict[Claim, list[Rank]] = {}

    def put(self, key: Key, model: ModelObject | None) -> set[Key]:
        """Take in what a model asks for now, None when it is gone: whom that concerns.

        One whose spec is of no use goes on serving, and with what it asked for before.
        """
        if model is not None and model.spec is None:
            return set()
        spec = model.spec if model is not None else None
        wanted = list_claims(spec.traffic, key[0]) if spec is not None else ()
        before = self._wanted.get(key, ())
        if wanted == before:
            return set()
        concerned = self._younger(key)
        self._forget(key, before)
        if wanted:
            self._wanted[key] = wanted
        for claim in wanted:
            self._askers.setdefault(claim, set()).add(key)
            self._ranks.pop(claim, None)
        return concerned | self._younger(key)

    def note_route(self, key: Key, created_at: float | None) -> set[Key]:
        """Take in since when a model has a route, None for not: whom that concerns."""
        if self._created.get(key) == created_at:
            return set()
        concerned = self._younger(key)
        if created_at is None:
            self._created.pop(key, None)
        else:
            self._created[key] = created_at
        for claim in self._wanted.get(key, ()):
            self._ranks.pop(claim, None)
        return concerned | self._younger(key)

    def rivals(self, key: Key) -> tuple[Rival, ...]:
        """Those with older routes for some of the same, the oldest first."""
        shared: dict[Rank, Wanted] = {}
        for claim in self._wanted.get(key, ()):
            ranks = self._rank(claim)
            for rank in ranks[: min(MOST, bisect_left(ranks, self.rank(key)))]:
                shared[rank] = (*shared.get(rank, ()), claim)
        return tuple(Rival(*rank[1], shared[rank]) for rank in sorted(shared))

    def wanted(self, key: Key) -> Wanted:
        """What a model asks for."""
        return self._wanted.get(key, ())

    def rank(self, key: Key) -> Rank:
        """How old a model's route is, for gateways."""
        return self._created.get(key, math.inf), key

    def _rank(self, claim: Claim) -> list[Rank]:
        """Whoever has a route for it, the oldest first."""
        if claim not in self._ranks:
            routed = (key for key in self._askers.get(claim, ()) if key in self._created)
            self._ranks[claim] = sorted(self.rank(key) for key in routed)
        return self._ranks[claim]

    def _younger(self, key: Key) -> set[Key]:
        """The others for whom it makes a difference: who was there before loses nothing."""
        if key not in self._created:
            return set()
        others = (other for claim in self._wanted.get(key, ()) for other in self._askers[claim])
        return {other for other in others if self.rank(other) > self.rank(key)}

    def _forget(self, key: Key, wanted: Wanted) -> None:
        self._wanted.pop(key, None)
        for claim in wanted:
            self._ranks.pop(claim, None)
            askers = self._askers[claim]
            askers.discard(key)
            if not askers:
                del self._askers[claim]
