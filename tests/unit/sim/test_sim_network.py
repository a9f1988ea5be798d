"""What lies between an operator and the apiserver: lags, trouble, death; and that it repeats."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
import pytest
from canarium.core.observed import Observed
from canarium.core.plan import Plan
from canarium.errors import ApiError, SpecError
from canarium.kube.client import Client
from canarium.kube.clock import ClusterClock
from canarium.kube.kinds import DEFINITIONS, LEASES, SERVICES
from canarium.rollout.plan import plan
from canarium.sim.apiserver import ApiServer
from canarium.sim.loop import VirtualLoop
from canarium.sim.network import Network, RecordedRequest, SimulatedTransport, Trouble
from canarium.sim.simulation import NeverError, Simulation
from canarium.sim.traffic import AnswerPattern

from tests.simulated.play import KEY, Play, make_manifest, serving

Json = dict[str, Any]


def story(seed: int) -> list[tuple[float, str, str, Json]]:
    """Every change of a rollout with a real judge, in a network that now and then loses answers."""
    found: list[tuple[float, str, str, Json]] = []
    with Play(seed=seed, judged=True) as play:
        play.observe(lambda c: found.append((c.time, c.type, c.kind, c.body)))
        play.network.trouble = lambda request: "Lost" if request.number % 5 == 0 else None
        play.traffic.answer("1", AnswerPattern(error_rate=0.01))
        play.want("1")
        play.until("Idle")
        play.want("2")
        play.until("Idle", "2")
    return found


def test_the_same_seed_gives_the_same_history() -> None:
    assert story(3) == story(3)


def test_another_seed_gives_another_history() -> None:
    assert story(3) != story(4)


def test_kinds_are_seen_in_another_order_than_they_were_written() -> None:
    seen: list[tuple[int, int]] = []

    def look(observed: Observed, now: float) -> Plan:
        ready = sum(pod.ready for pod in observed.pods)
        seen.append((ready, sum(d.ready_replicas for d in observed.deployments)))
        return plan(observed, now)

    with Play(planner=look) as play:
        play.network.lags["Pod"] = 20.0
        play.want("1")
        play.until("Idle")
    assert (0, 3) in seen


@pytest.mark.parametrize("trouble", ["Conflict", "Error", "Lost"])
def test_each_third_write_fails_and_the_end_is_the_same(trouble: Trouble) -> None:
    def disturb(request: RecordedRequest) -> Trouble | None:
        return trouble if request.number % 3 == 0 else None

    ends = []
    for disturbance in (lambda _request: None, disturb):
        with serving() as play:
            play.network.trouble = disturbance
            play.want("2")
            play.until("Idle", "2")
            play.run(120.0)
            play.network.trouble = lambda _request: None
            play.rest()
            ends.append(play.end())
    assert ends[0] == ends[1]


def test_a_killed_operator_writes_nothing_more() -> None:
    with serving() as play:
        play.want("2")
        play.run(1.0)
        play.kill_operator()
        writes = play.network.writes
        play.run(600.0)
        assert (play.network.writes, play.operator) == (writes, None)
        play.start_operator()
        play.until("Idle", "2")


def test_a_crash_happens_at_the_write_that_was_named() -> None:
    with serving() as play:
        before = play.network.writes
        play.crash_at(2, "before")
        play.want("2")
        play.run(1.0)
        said = [str(write) for write in list(play.writes)[before:]]
        assert (said, play.operator) == (["status ModelDeployment fraud"], None)
        play.run(play.restart_seconds)
        assert play.operator is not None


def test_a_manifest_of_no_use_is_refused_as_the_apiserver_would() -> None:
    manifest = make_manifest()
    manifest["spec"]["scaling"]["replicas"] = -1
    with Simulation() as sim, pytest.raises(SpecError, match=r"spec\.scaling\.replicas"):
        sim.apply(manifest)


def test_a_manifest_of_no_use_that_got_in_leaves_what_serves_alone() -> None:
    with serving() as play:
        manifest = make_manifest("2")
        manifest["spec"]["rollout"]["steps"] = [{"name": "a", "weight": 200}]
        play.apply(manifest, valid=False)
        play.rest()
        assert (play.phase, play.shares) == ("Invalid", {"1": 1.0})


def test_what_never_happens_is_an_error() -> None:
    with serving() as play, pytest.raises(NeverError):
        play.until("Guarding", most_seconds=60.0)


def test_requests_that_nobody_answers_are_counted() -> None:
    with serving(replicas=1) as play:
        play.want("2", steps=((50, "2m"),), guard="0s")
        play.until("Holding")
        play.run(2.0)
        play.kill_operator()
        play.pods.evict_all("2")
        play.run(2.0)
        assert 10 <= play.traffic.lost(KEY) <= 30


def ask(use: Callable[[Client, ApiServer], Coroutine[Any, Any, Any]]) -> Any:
    """What somebody gets who uses the operator's client on a simulated apiserver."""

    async def run() -> Any:
        time = asyncio.get_running_loop().time
        server = ApiServer(time)
        connection = SimulatedTransport(server, Network(), lambda: None, ClusterClock(time, time))
        return await use(Client(connection), server)

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(run())


def test_of_a_kind_of_which_one_object_counts_only_that_is_seen() -> None:
    async def use(client: Client, server: ApiServer) -> list[Any]:
        routes = DEFINITIONS["HTTPRoute"]
        for name in ("grpcroutes.gateway.networking.k8s.io", routes.only):
            server.create(routes.kind, "", {"metadata": {"name": name}}, "somebody")
        pages = [page async for page in client.list_pages(routes)]
        lines = [line async for line in client.watch(routes, None, "", "0", 1)]
        listed = [msgspec.json.decode(item) for page in pages for item in page.items or ()]
        return listed + [msgspec.json.decode(line)["object"] for line in lines]

    names = [found["metadata"]["name"] for found in ask(use)]
    assert names == ["httproutes.gateway.networking.k8s.io"] * 2


def test_what_is_not_simulated_is_refused() -> None:
    async def replace(client: Client, _server: ApiServer) -> None:
        await client.replace(LEASES, "canarium", "operator", {"metadata": {"name": "operator"}})

    async def select(client: Client, _server: ApiServer) -> None:
        [_ async for _ in client.list_pages(SERVICES, fields="spec.type=ClusterIP")]

    for use, code in ((replace, 405), (select, 400)):
        with pytest.raises(ApiError, match=f"{code} .*simulated"):
            ask(use)
