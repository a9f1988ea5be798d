"""Which ModelDeployments ask for the same host name and path at the same parent."""

from __future__ import annotations

from collections.abc import Hashable

from canarium.core.claims import list_claims
from canarium.core.observed import ModelObject
from canarium.kube.store import Key

Wanted = tuple[Hashable, ...]


class Claims:
    """An index of what models ask for, so that nobody looks through all models at each pass."""

    def __init__(self) -> None:
        self._wanted: dict[Key, Wanted] = {}
        self._askers: dict[Hashable, set[Key]] = {}

    def put(self, key: Key, model: ModelObject | None) -> bool:
        """Take in what a model asks for now, None when it is gone; whether that has changed.

        One whose spec is of no use goes on serving, and with what it asked for before.
        """
        if model is not None and model.spec is None:
            return False
        spec = model.spec if model is not None else None
        wanted = list_claims(spec.traffic, key[0]) if spec is not None else ()
        before = self._wanted.get(key, ())
        if wanted == before:
            return False
        self._forget(key, before)
        if wanted:
            self._wanted[key] = wanted
        for claim in wanted:
            self._askers.setdefault(claim, set()).add(key)
        return True

    def _forget(self, key: Key, wanted: Wanted) -> None:
        self._wanted.pop(key, None)
        for claim in wanted:
            askers = self._askers[claim]
            askers.discard(key)
            if not askers:
                del self._askers[claim]

    def shared(self, key: Key) -> dict[Key, Wanted]:
        """The others that ask for some of the same, each with what both ask for."""
        found: dict[Key, Wanted] = {}
        for claim in self._wanted.get(key, ()):
            for other in self._askers[claim]:
                if other != key:
                    found[other] = (*found.get(other, ()), claim)
        return found

    def neighbours(self, key: Key) -> set[Key]:
        """The others that ask for some of the same."""
        return set(self.shared(key))
