"""Objects beside a healthy one in the simulated cluster, with everything that looks at objects.

That is, beside the controller: measuring, by the real sessions, which get an answer from whatever
address they ask; the notifications of every event; and what Prometheus is shown. Whatever is raised
anywhere goes through `Boundary.note`, or it ends the play.
"""

from __future__ import annotations

import asyncio
import copy
import itertools
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from decimal import Decimal
from typing import Any, TypeVar

import pytest
from canarium.api import parse_deployment
from canarium.cost.meter import UsageMeter
from canarium.cost.usage import PriceList, Prices
from canarium.errors import SpecError
from canarium.kube.boundary import Boundary
from canarium.kube.client import Client
from canarium.kube.clock import ClusterClock
from canarium.kube.informers.cache import Cache
from canarium.kube.queues.keys import KindQueue, ObjectKey
from canarium.metrics.sessions import Measurements, Settings
from canarium.notifying import notifier as notifying
from canarium.notifying.destinations import Destination
from canarium.notifying.notifier import Notifier
from canarium.notifying.posting import DELIVERED
from canarium.outbound import fetching
from canarium.outbound.auth import NOBODY, Credentials
from canarium.outbound.credentials import Secrets
from canarium.outbound.fetching import Answer, OutboundRequest
from canarium.sim.network import Network, SimulatedTransport
from canarium.sim.process import Operator
from canarium.sim.simulation import PERSON, Simulation
from canarium.sim.traffic import CountsMeter
from canarium.telemetry.families import ModelSnapshot
from canarium.telemetry.metrics import Metrics
from yarl import URL

from tests.simulated.play import make_manifest
from tests.unit.api.specs import plain

Json = dict[str, Any]
T = TypeVar("T")

KEY = ("risk", "steady")
"The healthy one."
SECONDS = 90.0
MOST_WRITES = 300
"Of one object within that time: a first rollout is some forty."
MOST_PODS = 12
SETTINGS = Settings("http://prometheus.monitoring:9090")
PRICES = PriceList(Prices(Decimal(1), Decimal(1), Decimal(1)))
TEMPLATE = {
    "apiVersion": "canarium.dev/v1alpha1",
    "kind": "ClusterMetricTemplate",
    "metadata": {"name": "precision"},
    "spec": {
        "arguments": [{"name": "segment"}],
        "prometheus": {
            "good": 'good{segment="{{segment}}"}',
            "total": 'all{segment="{{segment}}"}',
        },
    },
}
ANSWER = (
    b'{"status":"success","data":{"resultType":"vector","result":'
    b'[{"metric":{"code":"200"},"value":[1,"%d"]}]},"a":{"b":[%d,"2",null]},'
    b'"score":1,"clicks":%d,"shown":%d,"angry":0,"all":%d}'
)
"Prometheus' as well as anybody's JSON, of counters that rise with each question."


@contextmanager
def noting(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What is raised about single objects; and nobody outside is asked anything meanwhile."""
    noted: list[str] = []
    original = Boundary.note

    def note(self: Boundary, part: Any, about: str, error: Exception) -> str:
        noted.append(f"{part} {about}: {error!r}")
        return original(self, part, about, error)

    with monkeypatch.context() as patch:
        patch.setattr(Boundary, "note", note)
        patch.setattr(asyncio, "to_thread", _call_here)
        patch.setattr(fetching, "fetch", _fetch)
        patch.setattr(Secrets, "get", _authorize)
        patch.setattr(notifying, "find_destination", _find_destination)
        patch.setattr(notifying, "post", _post)
        yield noted


FAULTS = "refused|complaints|bad"
"What never rises, so that some canaries come further than to the first step."
_ASKED = itertools.count(1)


async def _call_here(call: Callable[..., T], *arguments: Any) -> T:
    """Virtual time has no threads."""
    return call(*arguments)


async def _fetch(_session: object, request: OutboundRequest, *_: object) -> Answer:
    """Answer, once the name could be looked up, which begins as the system's own look-up does."""
    (request.host or request.url.raw_host or "").encode("idna")
    count = 1 if re.search(FAULTS, str(request.form)) else next(_ASKED)
    return Answer(200, ANSWER % ((count,) * 5))


async def _authorize(*_: object) -> Credentials:
    return NOBODY


async def _find_destination(*_: object) -> Destination:
    return Destination(URL("http://chat.example"))


async def _post(*_: object) -> Any:
    return DELIVERED


class Town(Simulation):
    """The simulated cluster with all parts of the operator that have to do with single objects."""

    def __init__(self) -> None:
        super().__init__(remembered=100_000)
        self.measurements: Measurements | None = None
        self._make_measuring = self._measure

    def _measure(self, cache: Cache, queue: KindQueue) -> Measurements:
        self.measurements = Measurements(
            cache.pods.of,
            lambda key, urgent: queue.add(key, urgent=urgent),
            now=self.now,
            make_meter=lambda: CountsMeter(self.traffic, self.now),
            client=Client(self._connect()),
            settings=SETTINGS,
            boundary=cache.boundary,
        )
        return self.measurements

    def _connect(self) -> SimulatedTransport:
        clock = ClusterClock(self.now, self.loop.time)
        return SimulatedTransport(self.server, Network(), lambda: None, clock)

    def tell(self) -> bytes:
        """Notify of all events, measure what is used, and make the page of metrics."""
        return self.loop.run_until_complete(self._tell())

    async def _tell(self) -> bytes:
        operator, metrics = self.operator, Metrics(now=self.now)
        assert operator is not None
        notifier = Notifier(Client(self._connect()), metrics, self, now=self.now)  # type: ignore[arg-type]
        for key, event in self.events:
            if (model := operator.cache.models.get(*key)) is not None:
                notifier.notify(model, event)
        await notifier.close()
        note, pages = operator.cache.boundary.note, list[bytes]()
        metrics.show_models(
            lambda: self._view(operator), lambda about, error: void(note("Metrics", about, error))
        )

        async def look(_seconds: float) -> None:
            """Once it is measured, and before the meter goes on or forgets it."""
            pages.extend(metrics.render())
            raise asyncio.CancelledError

        use = UsageMeter(
            Client(self._connect()),
            operator.cache,
            SETTINGS,
            prices=PRICES,
            clock=self.now,
            pause=look,
        )
        metrics.add_page(use.render)
        with suppress(asyncio.CancelledError):
            await use.run()
        return b"".join(pages)

    def _view(self, operator: Operator) -> Iterator[ModelSnapshot]:
        """As the operator's process has it."""
        for key in operator.cache.models.keys():  # noqa: SIM118 - a store is no mapping
            model, found = operator.cache.models.get(*key), operator.measuring.result(key)
            if model is not None:
                rows = found.rows if found is not None else ()
                refused = operator.controller.failures(ObjectKey(*key, "ModelDeployment"))
                yield ModelSnapshot(model, operator.cache.revisions.of(key), rows, refused)

    def close_measuring(self) -> None:
        """End the sessions."""
        if self.measurements is not None:
            self.loop.run_until_complete(self.measurements.close())


def void(_value: object) -> None:
    """Nothing."""


def serve_beside(stored: list[Json], *, edited: bool) -> None:
    """Have all of them, and a healthy object that gets a new version and serves it."""
    with Town() as town:
        try:
            _play(town, stored, edited=edited)
        finally:
            town.close_measuring()


def _play(town: Town, stored: list[Json], *, edited: bool) -> None:
    refused = [(body, why) for body in stored if (why := explain_refusal(body))]
    assert not refused, refused
    town.server.apply("ClusterMetricTemplate", ("", "precision"), TEMPLATE, PERSON, force=True)
    town.apply(_make_healthy("1"))
    for body in stored if edited else ():
        before = plain()
        before["metadata"] = {"name": body["metadata"]["name"], "namespace": "risk"}
        before["spec"]["model"] = {"version": "before"}
        town.apply(before)
    town.run_until(lambda: town.state(KEY) == "Idle", SECONDS)
    for body in stored:
        town.apply(make_small(strip(body)), valid=False)
    town.run(12.0)
    town.apply(_make_healthy("2"))
    town.run_until(lambda: _serves(town, "2"), SECONDS)
    check(town, stored, town.tell().decode())


def _make_healthy(version: str) -> Json:
    """A model whose new version takes but a few seconds: all others cost time meanwhile."""
    return make_manifest(version, name=KEY[1], steps=((50, "2s"),), judged=False)


def make_small(body: Json) -> Json:
    """The same with a dozen pods at most: to play ten thousand of them takes minutes."""
    body = copy.deepcopy(body)
    scaling, rollout = body["spec"].get("scaling", {}), body["spec"].get("rollout", {})
    for part in (scaling, *rollout.get("steps", ())):
        for name in ("replicas", "minReplicas", "maxReplicas"):
            if isinstance(part.get(name), int):
                part[name] = min(part[name], MOST_PODS)
    return body


ONLY_OURS = re.compile(r"\.(query|bad|good|total): |: the container has no port named ")
"What CEL cannot ask for: the grammar of queries. All else that we refuse, the schema has to."


def explain_refusal(stored: Json) -> str:
    """Why the operator takes for of no use what the apiserver takes; "" where they agree."""
    try:
        parse_deployment(stored)
    except SpecError as error:
        said = map(str, error.problems)
        return "; ".join(each for each in said if not ONLY_OURS.search(each))
    return ""


def strip(stored: Json) -> Json:
    """What a person applies: without what the apiserver adds."""
    kept = ("name", "namespace", "annotations", "labels")
    metadata = {name: value for name, value in stored["metadata"].items() if name in kept}
    return {**stored, "metadata": metadata}


def _serves(town: Town, version: str) -> bool:
    stable = town.status(KEY).get("stable", {})
    return stable.get("version") == version and town.state(KEY) in ("Guarding", "Idle")


def check(town: Town, stored: list[Json], page: str) -> None:
    """Each says something of itself, no fault of the operator's, and is left alone mostly."""
    writes = dict.fromkeys((body["metadata"]["name"] for body in stored), 0)
    for write in town.writes:
        name = write.key[1]
        owner = next((each for each in (name, name.rpartition("-")[0]) if each in writes), None)
        if owner is not None:
            writes[owner] += 1
    for body in stored:
        name = body["metadata"]["name"]
        status = town.status(("risk", name))
        assert status.get("conditions"), (name, body)
        assert status["reason"] != "InternalError", (name, status["message"], body)
        assert writes[name] <= MOST_WRITES, (name, writes[name], status["message"], body)
        assert f'canarium_model_ready{{namespace="risk",model="{name}"}}' in page, (name, body)
