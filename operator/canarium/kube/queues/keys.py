"""Which object is meant, when one queue holds objects of several kinds."""

from __future__ import annotations

from typing import NamedTuple

from canarium.kube.informers.store import Key
from canarium.kube.queues.workqueue import WorkQueue


class ObjectKey(NamedTuple):
    """An object by namespace ("" where its kind has none), name and kind.

    The namespace is first: that is what the queue is fair by.
    """

    namespace: str
    name: str
    kind: str

    @property
    def own(self) -> Key:
        """Its place among objects of its kind."""
        return self.namespace, self.name


class KindQueue:
    """The queue as those see it who know objects of one kind alone."""

    def __init__(self, queue: WorkQueue[ObjectKey], kind: str) -> None:
        self._queue = queue
        self._kind = kind

    def add(self, key: Key, *, urgent: bool = False) -> None:
        """Ask for an object to be worked on (`WorkQueue.add`)."""
        self._queue.add(ObjectKey(*key, self._kind), urgent=urgent)

    def add_first(self, key: Key) -> None:
        """Ask for it before everybody's ordinary work (`WorkQueue.add_first`)."""
        self._queue.add_first(ObjectKey(*key, self._kind))

    def add_soon(self, key: Key) -> None:
        """Ask for it after a moment in which more news can come (`WorkQueue.add_soon`)."""
        self._queue.add_soon(ObjectKey(*key, self._kind))
