"""What is owned goes after its owner, a moment later."""

from __future__ import annotations

import asyncio

from canarium.errors import NotFoundError
from canarium.sim.apiserver import ApiServer, Change, Key

CONTROLLER = "garbage-collector"


class Garbage:
    """Deletes what names an owner that is gone, even if it was made only then."""

    def __init__(self, server: ApiServer, loop: asyncio.AbstractEventLoop) -> None:
        self.react_seconds = 0.5
        self._server = server
        self._loop = loop
        self._living: set[str] = set()
        self._owned: dict[str, dict[tuple[str, Key], None]] = {}
        server.listen(self._look)

    def _look(self, change: Change) -> None:
        meta, place = change.body["metadata"], (change.kind, change.key)
        if change.type == "DELETED":
            self._living.discard(meta["uid"])
            for kind, key in self._owned.pop(meta["uid"], ()):
                self._loop.call_later(self.react_seconds, self._collect, kind, key, meta["uid"])
        elif change.type == "ADDED":
            self._living.add(meta["uid"])
        for owner in meta.get("ownerReferences") or ():
            self._note(owner["uid"], place, gone=change.type == "DELETED")

    def _note(self, owner: str, place: tuple[str, Key], *, gone: bool) -> None:
        if gone:
            self._owned.get(owner, {}).pop(place, None)
        elif owner in self._living:
            self._owned.setdefault(owner, {})[place] = None
        else:
            self._loop.call_later(self.react_seconds, self._collect, *place, owner)

    def _collect(self, kind: str, key: Key, owner: str) -> None:
        found = self._server.find(kind, key)
        owners = (found or {}).get("metadata", {}).get("ownerReferences") or ()
        if any(reference["uid"] == owner for reference in owners):
            try:
                self._server.delete(kind, key, CONTROLLER)
            except NotFoundError:  # the kind is no longer served, and its objects with it
                return
