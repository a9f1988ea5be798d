"""The example of docs/contributing/adding-a-kind.md: a child kind with a row, a builder, a write.

What the page shows is taken from here, so it works as it is written there.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from canarium.core.kinds import KEPT, OURS, Row
from canarium.core.names import MODEL_LABEL
from canarium.core.observed import Meta, ModelObject, Observed
from canarium.core.plan import Apply, Create, Delete, Ref, Write
from canarium.kube.client import Client
from canarium.kube.clock import ClusterClock
from canarium.kube.informers.cache import Cache
from canarium.kube.informers.projections.meta import project_meta
from canarium.kube.informers.projections.models import project_model
from canarium.kube.informers.watched import make_reflectors
from canarium.kube.kinds import TABLE
from canarium.kube.writer import Writer
from canarium.resources.objects import make_meta
from canarium.sim.apiserver import ApiServer
from canarium.sim.loop import VirtualLoop
from canarium.sim.network import Network, SimulatedTransport

from tests.unit.kube.rights import list_needed
from tests.unit.kube.wire import Json, make_model

PAGE = Path(__file__).parents[3] / "docs" / "contributing" / "adding-a-kind.md"
FRAUD = project_model(make_model())
KIND, KEY = "NetworkPolicy", ("risk", "fraud")

# 1. The row

ROW = Row(
    "NetworkPolicy",
    "networking.k8s.io/v1",
    "networkpolicies",
    KEPT,
    selector=OURS,
    written="Posted",
    feature="Policies",
    granted=True,
)


# 2. The builder


def make_policy(model: ModelObject) -> dict[str, Any]:
    """Who may call the pods of a model: those of its own namespace."""
    own = {MODEL_LABEL: model.meta.name}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": make_meta(model, model.meta.name, own),
        "spec": {"podSelector": {"matchLabels": own}, "ingress": [{"from": [{"podSelector": {}}]}]},
    }


# 3. The write


def follow_policy(observed: Observed, *, wanted: bool) -> Iterator[Write]:
    """One policy for all pods of a model, put right when somebody changes it."""
    model, policies = observed.model, observed.others["NetworkPolicy"]
    if policies is None:
        return
    ref, body = Ref("NetworkPolicy", model.meta.name), make_policy(model)
    found = next((each for each in policies if each.meta.name == ref.name), None)
    if found is None and wanted:
        yield Create(ref, body)
    elif found is not None and not wanted:
        yield Delete(ref, found.meta.uid, found.meta.resource_version)
    elif found is not None and json.loads(found.spec) != body["spec"]:
        yield Apply(ref, body, found.meta.resource_version)


# What the table makes of it


class Estate:
    """The operator's own machinery, given one row more, beside a simulated apiserver."""

    def __init__(self, disabled: tuple[str, ...] = (), **options: Any) -> None:
        loop = asyncio.get_running_loop()
        self.server, self.network = ApiServer(loop.time), Network()
        clock = ClusterClock(loop.time, loop.time)
        client = Client(SimulatedTransport(self.server, self.network, lambda: None, clock))
        self.woken: list[tuple[str, str]] = []
        self.cache = Cache(self.woken.append, kinds=(*TABLE, ROW), **options)
        self.writer = Writer(client, self.cache, kinds=self.cache.kinds)
        every = make_reflectors(client, self.cache, ["risk"], loop.time, disabled=disabled)
        self.reflectors = [each for each in every if each.resource.kind == KIND]

    def observe(self) -> Observed:
        return self.cache.observe(FRAUD)

    async def follow(self, *, wanted: bool) -> int:
        """Carry out what is to be written; how much that was."""
        writes = list(follow_policy(self.observe(), wanted=wanted))
        for write in writes:
            await self.writer.write(FRAUD, write)
        return len(writes)


@asynccontextmanager
async def watched(estate: Estate) -> AsyncIterator[Estate]:
    tasks = [asyncio.create_task(each.run()) for each in estate.reflectors]
    await asyncio.sleep(1.0)
    yield estate
    for task in tasks:
        task.cancel()


def play(use: Callable[[], Awaitable[None]]) -> None:
    async def run() -> None:
        await use()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(run())


@dataclass(frozen=True, slots=True)
class Named:
    """Of a policy, that it is there."""

    meta: Meta


def project_name(raw: bytes | msgspec.Raw) -> Named:
    return Named(project_meta(raw))


def read_spec(estate: Estate) -> Json:
    found = estate.server.find(KIND, KEY)
    assert found is not None
    spec: Json = found["spec"]
    return spec


def test_a_new_kind_is_written_seen_put_right_and_deleted() -> None:
    async def use() -> None:
        async with watched(Estate()) as estate:
            assert estate.observe().others == {KIND: ()}
            assert await estate.follow(wanted=True) == 1
            assert read_spec(estate) == make_policy(FRAUD)["spec"]
            assert await estate.follow(wanted=True) == 0
            estate.woken.clear()
            estate.server.write(KIND, KEY, lambda body: {**body, "spec": {}}, "somebody")
            await asyncio.sleep(1.0)
            assert estate.woken == [("risk", "fraud")]
            assert await estate.follow(wanted=True) == 1
            assert read_spec(estate) == make_policy(FRAUD)["spec"]
            assert await estate.follow(wanted=False) == 1
            assert estate.server.find(KIND, KEY) is None
            await asyncio.sleep(1.0)
            assert estate.observe().others == {KIND: ()}

    play(use)


def test_what_was_there_before_is_listed_and_only_what_is_ours_is_a_child() -> None:
    async def use() -> None:
        estate = Estate()
        theirs = {**make_policy(FRAUD), "spec": {}}
        theirs["metadata"] = {**theirs["metadata"], "name": "theirs", "ownerReferences": []}
        estate.server.create(KIND, "risk", make_policy(FRAUD), "canarium")
        estate.server.create(KIND, "risk", theirs, "somebody")
        async with watched(estate):
            children = estate.observe().others[KIND] or ()
            assert [child.meta.name for child in children] == ["fraud"]
            assert await estate.follow(wanted=True) == 0

    play(use)


def test_where_it_may_not_be_seen_a_plan_is_told_and_nothing_is_written() -> None:
    async def use() -> None:
        estate = Estate()
        estate.network.forbidden.add(KIND)
        async with watched(estate):
            assert estate.observe().others == {KIND: None}
            assert await estate.follow(wanted=True) == 0

    play(use)


def test_it_is_switched_off_by_its_feature_and_then_as_if_it_werent_there() -> None:
    async def use() -> None:
        async with watched(Estate(disabled=("Policies",))) as estate:
            assert estate.reflectors == []
            assert estate.observe().others == {KIND: None}

    play(use)


def test_a_record_of_its_own_takes_the_place_of_metadata_and_spec() -> None:
    async def use() -> None:
        async with watched(Estate(projections={KIND: project_name})) as estate:
            await estate.follow(wanted=True)
            (child,) = estate.observe().others[KIND] or ()
            assert child.meta.name == "fraud"
            assert not hasattr(child, "spec")

    play(use)


def test_the_rights_that_the_chart_has_to_give_are_told_by_its_row() -> None:
    values = {"watch": {"namespaces": []}, "rbac": {}, "policies": {"enabled": True}}
    needed = list_needed((ROW,), values, {"Policies": "policies.enabled"})
    assert {(right.group, right.resource, right.verb) for right in needed} == {
        ("networking.k8s.io", "networkpolicies", verb) for verb in KEPT
    }
    assert (
        list_needed((ROW,), {**values, "policies": {}}, {"Policies": "policies.enabled"}) == set()
    )


def test_the_page_shows_what_is_tested_here() -> None:
    source = Path(__file__).read_text()
    child = PAGE.read_text().partition("\n## A kind with a reconciler")[0]
    shown = child.split("```python\n")[1:]
    assert len(shown) == 3
    for block in shown:
        assert block.partition("\n```")[0] in source
