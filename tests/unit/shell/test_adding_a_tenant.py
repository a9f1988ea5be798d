"""The example of docs/contributing/adding-a-kind.md: a kind with a reconciler, in one folder.

What the page shows is taken from the folder (`toy/`), so it works as it is written there.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from canarium.core.observed import AnalysisResult, Meta
from canarium.core.plan import Event, Measure
from canarium.kube.client import Client
from canarium.kube.clock import ClusterClock
from canarium.kube.informers.cache import Cache
from canarium.kube.informers.reflector import Reflector
from canarium.kube.informers.store import Key
from canarium.kube.kinds import MODEL_DEPLOYMENTS
from canarium.kube.queues.keys import KindQueue, ObjectKey
from canarium.kube.queues.workqueue import WorkQueue
from canarium.rollout.plan import plan
from canarium.shell.controller import Controller
from canarium.shell.tenants.models import ModelTenant
from canarium.sim.apiserver import ApiServer
from canarium.sim.loop import VirtualLoop
from canarium.sim.network import Network, RecordedRequest, SimulatedTransport, Trouble

from tests.unit.shell.toy.record import GREETINGS
from tests.unit.shell.toy.tenant import GreetingTenant

PAGE = Path(__file__).parents[3] / "docs" / "contributing" / "adding-a-kind.md"
TOY = Path(__file__).parent / "toy"
MORNING, FRAUD = ("risk", "0morning"), ("risk", "fraud")
MODEL: dict[str, Any] = {
    "metadata": {"name": "fraud", "namespace": "risk"},
    "spec": {"server": {"image": "registry/fraud:7"}},
}
HELLO = {"text": "Hello, world"}


class Silent:
    """Nobody records events or measures."""

    def record(self, meta: Meta, event: Event) -> None:
        pass

    def ensure(self, key: Key, measure: Measure | None) -> None:
        pass

    def result(self, key: Key) -> AnalysisResult | None:
        return None


class Town:
    """An operator that serves ModelDeployments and greetings, beside a simulated apiserver."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.server, self.network = ApiServer(loop.time), Network()
        self.writes: list[str] = []
        self.network.note = lambda request: self.writes.append(str(request))
        clock = ClusterClock(loop.time, loop.time)
        client = Client(SimulatedTransport(self.server, self.network, lambda: None, clock))
        queue: WorkQueue[ObjectKey] = WorkQueue(loop)
        due = KindQueue(queue, MODEL_DEPLOYMENTS.kind)
        cache = Cache(due.add, due.add_soon, due.add_first)
        models = ModelTenant(plan=plan, cache=cache, recorder=Silent(), measurements=Silent())
        greetings = GreetingTenant(queue)
        self.controller = Controller(
            [models, greetings],
            client=client,
            queue=queue,
            boundary=cache.boundary,
            now=clock.now,
        )
        project = partial(cache.project_model, known=None)
        reflectors = [
            Reflector(client, MODEL_DEPLOYMENTS, cache.models, project, clock=loop.time),
            *greetings.make_reflectors(client, loop.time),
        ]
        self.tasks = [asyncio.create_task(each.run()) for each in reflectors]
        self.tasks += [asyncio.create_task(self.controller.work()) for _ in range(2)]

    def greet(self, to: Any, key: Key = MORNING) -> None:
        body = {"metadata": {"name": key[1], "namespace": key[0]}, "spec": {"to": to}}
        self.server.apply(GREETINGS.kind, key, body, "somebody", force=True)

    def status(self, key: Key = MORNING) -> Any:
        return (self.server.find(GREETINGS.kind, key) or {}).get("status")

    def stop(self) -> None:
        for task in self.tasks:
            task.cancel()


def play(use: Callable[[Town], Awaitable[None]]) -> None:
    async def run() -> None:
        town = Town()
        await use(town)
        town.stop()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(run())


def refuse_services(request: RecordedRequest) -> Trouble | None:
    return "Error" if request.kind == "Service" else None


def test_its_status_and_its_child_are_written_in_that_order_and_then_it_rests() -> None:
    async def use(town: Town) -> None:
        town.greet("world")
        await asyncio.sleep(600.0)
        assert town.writes == ["status Greeting 0morning", "create Service 0morning"]
        assert town.status() == HELLO
        service = town.server.find("Service", MORNING) or {}
        assert service["spec"]["externalName"] == "world.example.com"

    play(use)


def test_what_its_children_come_to_brings_it_back() -> None:
    async def use(town: Town) -> None:
        town.greet("world")
        await asyncio.sleep(10.0)
        town.server.delete("Service", MORNING, "somebody")
        await asyncio.sleep(10.0)
        assert town.server.find("Service", MORNING) is not None
        assert len(town.writes) == 3

    play(use)


def test_an_operator_that_is_started_anew_finds_nothing_left_to_do() -> None:
    async def use(town: Town) -> None:
        town.greet("world")
        await asyncio.sleep(10.0)
        town.stop()
        again = Town()
        again.server._objects = town.server._objects
        await asyncio.sleep(600.0)
        assert again.status() == HELLO
        assert again.writes == []
        again.stop()

    play(use)


def test_a_child_that_is_refused_is_told_of_and_tried_ever_more_rarely() -> None:
    async def use(town: Town) -> None:
        town.network.trouble = refuse_services
        town.greet("world")
        await asyncio.sleep(1000.0)
        assert town.status()["problem"].endswith("etcdserver: leader changed")
        assert 15 <= town.writes.count("create Service 0morning") <= 45
        town.network.trouble = lambda _request: None
        await asyncio.sleep(61.0)
        assert town.status() == HELLO
        assert town.server.find("Service", MORNING) is not None

    play(use)


def test_a_foreign_object_under_its_childs_name_is_left_alone() -> None:
    async def use(town: Town) -> None:
        theirs = {"metadata": {"name": MORNING[1]}, "spec": {"type": "ClusterIP"}}
        town.server.create("Service", "risk", theirs, "somebody")
        town.greet("world")
        await asyncio.sleep(60.0)
        assert (town.server.find("Service", MORNING) or {})["spec"] == {"type": "ClusterIP"}
        assert town.status()["problem"] == (
            "the name is taken: Service 0morning has no owner (ownerReferences), so it is left"
            " alone: rename or delete it, or rename this Greeting"
        )

    play(use)


def test_a_plan_that_breaks_is_that_objects_and_model_deployments_are_served(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def use(town: Town) -> None:
        town.greet(7)
        town.greet("world", ("risk", "evening"))
        await asyncio.sleep(60.0)
        assert town.status()["problem"].startswith("TypeError at ")
        assert town.status(("risk", "evening")) == HELLO
        town.server.apply("ModelDeployment", FRAUD, MODEL, "somebody", force=True)
        await asyncio.sleep(60.0)
        revisions = list(town.server.all_of("ModelRevision"))
        deployments = list(town.server.all_of("Deployment"))
        assert (len(revisions), len(deployments)) == (1, 1)

    with caplog.at_level(logging.WARNING, "canarium"):
        play(use)
    assert [record.__dict__["object"] for record in caplog.records] == ["Greeting risk/0morning"]


def test_the_page_shows_what_is_tested_here() -> None:
    source = "\n".join(path.read_text() for path in sorted(TOY.glob("*.py")))
    source += Path(__file__).read_text()
    _, heading, text = PAGE.read_text().partition("\n## A kind with a reconciler\n")
    shown = text.partition("\n## ")[0].split("```python\n")[1:]
    assert heading
    assert len(shown) == 4
    for block in shown:
        assert block.partition("\n```")[0] in source
