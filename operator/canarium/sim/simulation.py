"""A whole cluster in virtual time, with people, an operator that may die, and somebody who watches.

Everything is deterministic: the same calls with the same seed give the same history. Use it as a
context manager, from ordinary functions: time passes only in `run` and `run_until`.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable
from typing import Any, Self

from canarium.api import parse_deployment
from canarium.api.modeldeployment.defaults import NO_DEFAULTS
from canarium.core.names import PREFIX
from canarium.core.observed import Meta
from canarium.core.plan import Event
from canarium.kube.clock import ClusterClock
from canarium.rollout.plan import plan
from canarium.routing import ROUTE_TYPES
from canarium.shell.tenants.models import Planner
from canarium.sim.apiserver import ApiServer, Change, Key
from canarium.sim.controllers.autoscaling import Autoscaler
from canarium.sim.controllers.draining import Drain
from canarium.sim.controllers.endpoints import Endpoints
from canarium.sim.controllers.garbage import Garbage
from canarium.sim.controllers.gateway import Gateway
from canarium.sim.controllers.jobs import Jobs
from canarium.sim.controllers.keda import Keda
from canarium.sim.controllers.pods import Pods
from canarium.sim.fields import Json
from canarium.sim.load import Load
from canarium.sim.loop import VirtualLoop
from canarium.sim.network import Crash, Network, RecordedRequest, SimulatedTransport
from canarium.sim.process import MakeMeasuring, Operator
from canarium.sim.traffic import SimulatedTraffic
from canarium.sim.verdicts import Script, judge_counts

EPOCH = 1_800_000_000.0
PERSON = "kubectl"
ANNOTATING = "kubectl-annotate"
"A manager of its own, so that applying a manifest without the annotation leaves it."
GATEWAY = ("gateways", "public")
NOT_INSTALLED = frozenset(kind for kind, r in ROUTE_TYPES.items() if not r.simulated)
"Kinds that this cluster doesn't serve: its gateway doesn't speak them."

Condition = Callable[[], bool]
Observer = Callable[[Change], None]


class NeverError(AssertionError):
    """What was waited for didn't happen in time."""


class Simulation:
    """The cluster, at rest until it is told to run.

    With `judged` the real judge decides on the answers that `traffic` draws, else `script` says
    what it finds. `remembered` bounds what is kept of the past: changes of a kind that a watch can
    be resumed from, writes and events to ask about.
    """

    def __init__(
        self,
        *,
        planner: Planner = plan,
        seed: int = 0,
        judged: bool = False,
        remembered: int = 2000,
    ) -> None:
        self.loop = VirtualLoop()
        self.network = Network(note=self._note_write)
        self.server = ApiServer(self.now, history=remembered)
        self.server.absent |= NOT_INSTALLED
        self.pods = Pods(self.server, self.loop)
        self.jobs = Jobs(self.server, self.loop)
        self.endpoints = Endpoints(self.server, self.loop)
        self.gateway = Gateway(self.server, self.loop, GATEWAY)
        self.garbage = Garbage(self.server, self.loop)
        draw = random.Random(seed)  # noqa: S311 - a simulation has to be repeatable
        self.traffic = SimulatedTraffic(self.server, self.endpoints, self.gateway, self.now, draw)
        self.load = Load(self.loop, self.traffic, self.endpoints, draw)
        self.autoscaler = Autoscaler(self.server, self.loop, self.load)
        self.keda = Keda(self.server, self.loop, self.load)
        self.drain = Drain(self.server, self.loop, self.pods)
        self.script = Script()
        self.writes: deque[RecordedRequest] = deque(maxlen=remembered)
        self.events: deque[tuple[Key, Event]] = deque(maxlen=remembered)
        self.restart_seconds = 2.0
        self.machine_ahead_seconds = 0.0
        "How far the clock of the operator's machine is from the right time."
        self.unwatched = False
        "Whether the next operator finds that nobody has led for a while, as the Lease tells."
        self.defaults = NO_DEFAULTS
        "What the next operator is started with."
        self.operator: Operator | None = None
        self._planner = planner
        self._make_measuring: MakeMeasuring = (
            judge_counts(self.traffic, self.now) if judged else self.script
        )
        self._observers: list[Observer] = []
        self._condition: Condition | None = None
        self._failure: BaseException | None = None
        self._seed = seed
        self._random_state = random.getstate()
        self.loop.set_exception_handler(self._note_failure)
        self.server.listen(self._look)

    def __enter__(self) -> Self:
        """Begin with a gateway and an operator, which has nothing to do."""
        random.seed(self._seed)
        self.gateway.install()
        self.start_operator()
        return self

    def __exit__(self, *_error: object) -> None:
        """End everything."""
        if self.operator is not None:
            self.operator.kill()
        self.loop.run_until_complete(self._end())
        self.loop.close()
        random.setstate(self._random_state)

    def now(self) -> float:
        """The time, in seconds since the epoch."""
        return EPOCH + self.loop.time()

    # Time

    def run(self, seconds: float) -> None:
        """Let so much time pass. Raises what an observer has raised."""
        end = self.loop.call_later(seconds, self.loop.stop)
        try:
            self.loop.run_forever()
        finally:
            end.cancel()
        self._raise()

    def run_until(self, condition: Condition, most_seconds: float = 600.0) -> float:
        """Let time pass until a change makes the condition true; the seconds that it took.

        Raises `NeverError` when that takes longer, and what an observer has raised.
        """
        start = self.loop.time()
        if not condition():
            self._condition = condition
            try:
                self.run(most_seconds)
            finally:
                self._condition = None
            if not condition():
                raise NeverError(f"not within {most_seconds:g} s")
        return self.loop.time() - start

    def observe(self, observer: Observer) -> None:
        """Have every change looked at as it happens; what it raises ends the run."""
        self._observers.append(observer)

    # The operator

    def start_operator(self) -> None:
        """Start an operator process, with nothing in its memory."""
        if self.loop.is_running():
            self._start()
        else:
            self.loop.run_until_complete(self._start_soon())

    def kill_operator(self) -> None:
        """Kill the operator; nobody restarts it."""
        if self.operator is not None:
            self.operator.kill()
            self.operator = None

    def crash_at(self, write: int, moment: str) -> None:
        """Kill the operator "before" or "after" a write of its; a new one starts a bit later.

        Writes are counted from now, from 1.
        """
        self.network.crash = Crash(
            self.network.writes + write, "before" if moment == "before" else "after"
        )

    def restart_operator(self) -> None:
        """Kill the operator, and start another one a bit later."""
        self.kill_operator()
        self.loop.call_later(self.restart_seconds, self._start)

    def resync(self) -> None:
        """Have the operator look at every object anew."""
        if self.operator is not None:
            self.operator.resync()

    # People

    def apply(self, manifest: Json, manager: str = PERSON, *, valid: bool = True) -> Key:
        """Apply a ModelDeployment as kubectl or a Git sync does; its namespace and name.

        Raises `SpecError` for one of no use, unless `valid` is false: then it is the operator's
        business.
        """
        if valid:
            parse_deployment(manifest)
        meta = manifest["metadata"]
        key = meta.get("namespace", "default"), meta["name"]
        self.server.apply("ModelDeployment", key, manifest, manager, force=True)
        return key

    def delete(self, key: Key) -> None:
        """Delete a ModelDeployment."""
        self.server.delete("ModelDeployment", key, PERSON)

    def command(self, key: Key, verb: str, text: str) -> None:
        """Annotate a ModelDeployment with a command."""
        patch = {"metadata": {"annotations": {PREFIX + verb: text}}}
        self.server.merge("ModelDeployment", key, patch, ANNOTATING, None)

    # Questions

    def status(self, key: Key) -> Json:
        """The status of a ModelDeployment; {} when it has none."""
        found = self.server.find("ModelDeployment", key)
        status: Json = (found or {}).get("status") or {}
        return status

    def state(self, key: Key) -> str:
        """The state of its rollout, "" before the first."""
        return str(self.status(key).get("rollout", {}).get("state", ""))

    # What goes on inside

    def _start(self) -> None:
        clock = ClusterClock(self._machine_time, self.loop.time)
        connection = SimulatedTransport(self.server, self.network, self.restart_operator, clock)
        self.operator = Operator(
            connection,
            planner=self._planner,
            recorder=self,
            make_measuring=self._make_measuring,
            now=clock.now,
            defaults=self.defaults,
            watched_since=clock.now() if self.unwatched else 0.0,
        )

    def _machine_time(self) -> float:
        return self.now() + self.machine_ahead_seconds

    async def _start_soon(self) -> None:
        self._start()

    async def _end(self) -> None:
        """End every task, and what it holds open."""
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.loop.shutdown_asyncgens()

    def record(self, meta: Meta, event: Event) -> None:
        """Take an event of the operator's (`Recording`)."""
        self.events.append(((meta.namespace, meta.name), event))

    def _note_write(self, request: RecordedRequest) -> None:
        self.writes.append(request)

    def _look(self, change: Change) -> None:
        try:
            for observer in self._observers:
                observer(change)
        except Exception as error:  # noqa: BLE001 - one that breaks must not look like a lost write
            self._fail(error)
        if self._condition is not None and self._condition():
            self.loop.stop()

    def _note_failure(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self._fail(context.get("exception") or RuntimeError(context["message"]))

    def _fail(self, error: BaseException) -> None:
        self._failure = self._failure or error
        self.loop.stop()

    def _raise(self) -> None:
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure
