"""Who sends the news: beside the work, from bounded queues, again after a failure, not for ever.

Each receiver has a backlog and a task of its own, so that one that hangs keeps nobody else waiting;
in a backlog the namespaces take turns, and of all that waits none can take the room of another.
What cannot be delivered is given up with an event. A rollout never waits for any of this.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import aiohttp

from canarium.core.observed import Meta, ModelObject
from canarium.core.plan import Event
from canarium.core.receivers import Receiver
from canarium.kube.boundary import Boundary
from canarium.kube.client import Client
from canarium.kube.events import Recorder
from canarium.kube.informers.store import Key
from canarium.kube.queues.backlog import Backlog, crowd_out
from canarium.kube.queues.backoff import Backoff
from canarium.notifying.destinations import Destination, find_destination
from canarium.notifying.messages import News, make_message, make_news
from canarium.notifying.posting import DeliveryOutcome, post
from canarium.outbound.errors import SourceError
from canarium.outbound.forbidden_addresses import Network, make_guarded_session
from canarium.outbound.reach import NoServiceError, NotReachedError, Reach
from canarium.telemetry.metrics import Metrics

logger = logging.getLogger(__name__)

MOST_WAITING = 1000
"For all receivers together; of more, the last of the namespace that has most is dropped."
AT_ONCE_OF_A_NAMESPACE = 2
TRIES = 8
BACKOFF = Backoff(first_seconds=1.0, longest_seconds=60.0)
"With eight tries a receiver has about two minutes to come back; longer when it asks for that."
PATIENCE_SECONDS = 600.0
"After so long news is given up, whatever the receiver asked for."
CLOSING_SECONDS = 2.0

Place: TypeAlias = tuple[str, str, str]
"Of whose address: namespace, Secret and key; or only the file."


@dataclass(slots=True, eq=False)
class _Delivery:
    """One piece of news for one receiver."""

    receiver: Receiver
    news: News
    meta: Meta
    urgent: bool
    since: float
    "When it was queued, on the monotonic clock."
    tries: int = 0

    @property
    def key(self) -> Key:
        """Of which object it tells."""
        return self.meta.namespace, self.meta.name

    @property
    def place(self) -> Place:
        """To whom it goes."""
        receiver = self.receiver
        if receiver.address_file:
            return "", receiver.address_file, ""
        return self.meta.namespace, receiver.secret, receiver.key


@dataclass(slots=True)
class _Queue:
    """What one receiver has yet to get, beside what is on its way."""

    letters: Backlog[_Delivery] = field(default_factory=Backlog)
    on_its_way: int = 0
    task: asyncio.Task[None] | None = None


class Notifier:
    """Sends news to the receivers that an object names, and to those of the whole cluster."""

    def __init__(
        self,
        client: Client,
        metrics: Metrics,
        recorder: Recorder,
        *,
        everywhere: Sequence[Receiver] = (),
        allowed: Sequence[Network] = (),
        reach: Reach | None = None,
        now: Callable[[], float] = time.time,
        backoff: Backoff = BACKOFF,
    ) -> None:
        self._client = client
        self._metrics = metrics
        self._recorder = recorder
        self._everywhere = tuple(everywhere)
        self._allowed = allowed
        self._reach = reach
        self._now = now
        self._boundary = Boundary(metrics)
        self._backoff = backoff
        self._session: aiohttp.ClientSession | None = None
        self._queues: dict[Place, _Queue] = {}
        self._slots: defaultdict[str, asyncio.Semaphore] = defaultdict(
            lambda: asyncio.Semaphore(AT_ONCE_OF_A_NAMESPACE)
        )
        self._closing = False

    def notify(self, model: ModelObject, event: Event) -> None:
        """Have an event sent soon to whoever wants to be told; never waits, never fails."""
        notice = event.notice
        own = model.spec.receivers if model.spec else ()
        if notice is None or self._closing:
            return
        for receiver in (*own, *self._everywhere):
            if notice in receiver.events:
                try:
                    news = make_news(model, event, notice, self._now())
                    now = asyncio.get_running_loop().time()
                    self._queue(_Delivery(receiver, news, model.meta, event.urgent, now))
                except Exception as error:  # noqa: BLE001 - the object's pass has more to do
                    self._boundary.note("Notifying", _name(model.meta), error)

    async def close(self) -> None:
        """Give what is on its way a moment, and end; what is left is lost, and that is said."""
        self._closing = True
        tasks = [queue.task for queue in self._queues.values() if queue.task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=CLOSING_SECONDS)
        left = sum(len(queue.letters) + queue.on_its_way for queue in self._queues.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if left:
            logger.warning("%d notifications are lost: the operator ends", left)
        if self._session is not None:
            await self._session.close()

    def _queue(self, letter: _Delivery) -> None:
        queue = self._queues.setdefault(letter.place, _Queue())
        queue.letters.put(letter.key, letter, urgent=letter.urgent)
        if queue.task is None:
            queue.task = asyncio.create_task(self._send_all(letter.place, queue))
        backlogs = [each.letters for each in self._queues.values()]
        dropped = crowd_out(backlogs, MOST_WAITING, letter.meta.namespace)
        if dropped is not None:
            self._give_up(dropped, "too many wait already", "Dropped")

    async def _send_all(self, place: Place, queue: _Queue) -> None:
        """Send what waits for one receiver, and end."""
        try:
            while queue.letters:
                letter = queue.letters.pop()
                queue.on_its_way = 1
                pause = await self._deliver(letter)
                queue.on_its_way = 0
                if pause:
                    queue.letters.put_back(letter.key, letter, urgent=letter.urgent)
                    await asyncio.sleep(pause * random.uniform(1.0, 1.2))  # noqa: S311
        finally:
            if not queue.letters:
                del self._queues[place]

    async def _deliver(self, letter: _Delivery) -> float:
        """Try once; in how many seconds again, 0 when it is delivered or given up.

        The receiver has a rest until then, and whose turn it is comes next: what is wrong may be
        this letter.
        """
        outcome = await self._try(letter)
        letter.tries += 1
        if not outcome.problem:
            self._metrics.notifications.labels(letter.receiver.channel, "Delivered").inc()
            return 0.0
        delay = max(outcome.retry_after, self._backoff.compute(letter.tries))
        waited = asyncio.get_running_loop().time() - letter.since
        if outcome.final or letter.tries == TRIES or waited + delay > PATIENCE_SECONDS:
            self._give_up(letter, outcome.problem, "GivenUp")
            return 0.0
        return delay

    async def _try(self, letter: _Delivery) -> DeliveryOutcome:
        try:
            async with self._slots[letter.place[0] or letter.place[1]]:
                destination = await find_destination(
                    self._client, letter.meta.namespace, letter.receiver
                )
                message = make_message(letter.receiver, letter.news)
                dial, owner = await self._find(letter, destination), letter.place[0]
                return await post(self._open(), destination, message, owner, dial)
        except NotReachedError as error:  # a Service may be on its way
            return DeliveryOutcome(str(error), final=not isinstance(error, NoServiceError))
        except SourceError as error:  # the Secret or its Role may be on its way
            return DeliveryOutcome(str(error))
        except Exception as error:  # noqa: BLE001 - the receiver's other letters can be sent
            about = f"{_name(letter.meta)} {letter.receiver.name}"
            words = self._boundary.note("Notifying", about, error)
            return DeliveryOutcome(f"an internal error ({words})", final=True)

    async def _find(self, letter: _Delivery, destination: Destination) -> tuple[str, ...]:
        """What is dialled for an address out of a Secret; a file's is an administrator's."""
        if self._reach is None or letter.receiver.address_file:
            return ()
        return await self._reach.find(destination.url, letter.meta.namespace, named=False)

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = make_guarded_session(self._allowed)
        return self._session

    def _give_up(self, letter: _Delivery, problem: str, outcome: str) -> None:
        receiver, news = letter.receiver, letter.news
        words = f"{receiver.name} ({receiver.channel}) was not told {news.notice}: {problem}"
        self._metrics.notifications.labels(receiver.channel, outcome).inc()
        about = {"object": _name(letter.meta)}
        logger.warning("%s", words, extra={**about, "reason": "NotificationFailed"})
        event = Event("Warning", "NotificationFailed", "Notify", words)
        self._recorder.record(letter.meta, event)


def _name(meta: Meta) -> str:
    return f"{meta.namespace}/{meta.name}"
