"""Two operators for one namespace: who leads by the Lease's own word, and when that changed."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from benchmarks.rollouts.api import Api
from testbed.operators.running import is_ok
from tests.crash.conftest import Stage
from tests.crash.lane import LEASE, Lane
from tests.crash.plays import Play
from tests.crash.proxy import Answer, Call, Gate

LEASES = "/apis/coordination.k8s.io/v1/namespaces/{}/leases"
START_SECONDS = 120.0
END_SECONDS = 240.0
POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Holding:
    """One state of the Lease: who has it ("" for nobody), and when that was written, epoch."""

    holder: str
    written_at: float


@dataclass(slots=True)
class LeaseLog:
    """Every state of one Lease, as a watch of the test's own sees them."""

    holdings: list[Holding] = field(default_factory=list)
    deletions: list[int] = field(default_factory=list)
    "How many holdings there were before each time that it was deleted."
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def holder(self) -> str:
        """Who has it now."""
        return self.holdings[-1].holder if self.holdings else ""

    def first_of_another(self, holder: str) -> Holding | None:
        """Where it was first had by somebody else than this one; None while it wasn't."""
        return next((each for each in self.holdings if each.holder not in ("", holder)), None)

    def since_deleted(self) -> list[Holding]:
        """Its states since somebody deleted it; none while nobody did."""
        return self.holdings[self.deletions[0] :] if self.deletions else []

    def last_of(self, holder: str) -> Holding:
        """The last time that this one wrote it."""
        return [each for each in self.holdings if each.holder == holder][-1]

    async def wait_until(self, holds: Callable[[], object]) -> None:
        """Wait until something holds of it."""
        async with asyncio.timeout(START_SECONDS):
            while not holds():
                self._news.clear()
                await self._news.wait()

    async def follow(self, api: Api, namespace: str) -> None:
        """Watch, until cancelled."""
        found = api.watch(LEASES.format(namespace), fieldSelector=f"metadata.name={LEASE}")
        async for line in found:
            event = json.loads(line)
            if event["type"] in ("ADDED", "MODIFIED"):
                self._take(event["object"]["spec"])
            elif event["type"] == "DELETED":
                self.deletions.append(len(self.holdings))
                self._news.set()

    def _take(self, spec: dict[str, str]) -> None:
        written_at = datetime.fromisoformat(spec["renewTime"]).timestamp()
        self.holdings.append(Holding(spec.get("holderIdentity", ""), written_at))
        self._news.set()


@dataclass(slots=True)
class Pair:
    """Who leads, by which name, and who stands by."""

    leader: Lane
    identity: str
    standby: Lane
    leases: LeaseLog

    @property
    def lane(self) -> Lane:
        """One of them, to ask what the namespace looks like."""
        return self.standby

    async def wait_for_takeover(self) -> Holding:
        """Wait until the other one leads; the first state of the Lease that says so."""
        await self.leases.wait_until(lambda: self.leases.first_of_another(self.identity))
        found = self.leases.first_of_another(self.identity)
        assert found is not None
        return found

    async def serve(self, play: Play, model: str) -> None:
        """Have the first version of a model serve."""
        await self.lane.create(play.manifest(model, "v1"))
        await self.lane.wait_for_phase(model, "Healthy", END_SECONDS)

    async def roll(self, play: Play, model: str) -> None:
        """Begin to roll the second one out, until it holds at a fifth."""
        await self.lane.change(play.manifest(model, "v2"))
        holds = lambda: self.state(model) == "Holding"  # noqa: E731 - asked twice
        assert await self.lane.mirror.wait_until(self.lane.namespace, holds, END_SECONDS)

    async def go_on(self, model: str) -> None:
        """Have a rollout that holds go on, as a person does."""
        revision = self._status(model)["canary"]["revision"]
        await self.lane.command(model, "promote", f"{revision}:fifth@1")

    async def finish(self, model: str) -> None:
        """Wait until the second version is stable."""
        await self.lane.wait_for_phase(model, "Healthy", END_SECONDS)
        assert self._status(model)["stable"]["version"] == "v2"

    def terms(self, model: str, version: str) -> list[dict[str, Any]]:
        """What the rollout of a version goes by: as copied at its start, and as edited since."""
        found = self.lane.mirror.all_of(self.lane.namespace, "ModelRevision")
        (record,) = (
            each
            for _, each in found
            if each["spec"]["modelDeployment"] == model
            and each["spec"]["source"]["model"]["version"] == version
        )
        parts = (record["spec"], record.get("status", {}))
        return [part["rollout"] for part in parts if "rollout" in part]

    def state(self, model: str) -> str:
        """The state of a model's rollout."""
        return str(self._status(model).get("rollout", {}).get("state", ""))

    def _status(self, model: str) -> dict[str, dict[str, str]]:
        found = self.lane.mirror.find("ModelDeployment", self.lane.namespace, model) or {}
        return dict(found.get("status", {}))


@asynccontextmanager
async def paired(
    stage: Stage, name: str, *words: str, standing_by: Sequence[str] = ()
) -> AsyncIterator[Pair]:
    """A leader, and one that has everything but the Lease; each with options of its own."""
    leader, leases = await stage.make_lane(f"{name}-a", None, *words), LeaseLog()
    following = asyncio.create_task(leases.follow(stage.api, leader.namespace))
    try:
        await leases.wait_until(lambda: leases.holder)
        identity = leases.holder
        standby = await stage.make_lane(f"{name}-b", None, *standing_by, beside=leader)
        await _wait_until_ready(standby)
        yield Pair(leader, identity, standby, leases)
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


async def _wait_until_ready(lane: Lane) -> None:
    """Everything is listed: nothing but the Lease is waited for."""
    async with asyncio.timeout(START_SECONDS):
        url = f"http://{lane.address}/readyz"
        while not await asyncio.to_thread(is_ok, url):  # noqa: ASYNC110 - another process
            await asyncio.sleep(POLL_SECONDS)


class HoldingGate(Gate):
    """Keeps the first write of a kind for a model on its way until it is let go.

    `models` says which model's, by the kind's plural; `statuses` is what was answered to each.
    """

    def __init__(self, **models: str) -> None:
        self.held = asyncio.Event()
        self.let_go = asyncio.Event()
        self.answered = asyncio.Event()
        self.statuses: dict[str, int] = {}
        self._models = models
        self._calls: dict[str, Call] = {}

    async def admit(self, call: Call) -> Answer | None:
        if call.resource not in self._calls and self._is_wanted(call):
            self._calls[call.resource] = call
            if self._calls.keys() == self._models.keys():
                self.held.set()
            await self.let_go.wait()
        return None

    async def release(self, call: Call, answer: Answer) -> Answer | None:
        if call is self._calls.get(call.resource):
            self.statuses[call.resource] = answer.status
            if self.statuses.keys() == self._models.keys():
                self.answered.set()
        return answer

    def _is_wanted(self, call: Call) -> bool:
        model = self._models.get(call.resource)
        return call.counts and model is not None and f"{call.name}-".startswith(f"{model}-")
