"""Random histories of load, rollouts, autoscalers' decisions, lost nodes, drains and quota.

The observer asserts after every change: invariants 2 and 4, that what one would go back to keeps
its peak until the guard ends, and that sizes never fall because they change hands. When everything
is well again the object comes to rest, and the load alone says how many pods there are.
"""

from __future__ import annotations

import math
from typing import Any

import pytest
from canarium.sim.controllers.pods import NODES, Behaviour, Failing
from canarium.sim.network import RecordedRequest, Trouble
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tests.properties.scaled_play import (
    A_POD,
    ScaledPlay,
    make_foreign_autoscaler,
    make_scaling,
)
from tests.simulated.play import KEY, Json
from tests.simulated.test_disturbed_histories import SECONDS, one_of

pytestmark = pytest.mark.timeout(900)

HPA = "HorizontalPodAutoscaler"
VERSIONS = st.sampled_from(["1", "2", "3", "4"])
RATES = st.sampled_from([0.0, 5.0, 25.0, 60.0, 140.0])
BOUNDS = st.sampled_from([(0, 8), (1, 3), (1, 20), (2, 8), (3, 20)])
"The least is 1 where nobody can tell whether a model without pods is wanted."
ENGINES = st.sampled_from(["HPA", "HPA", "KEDA", "KEDA", "Fixed"])
HOW = st.tuples(st.booleans(), st.sampled_from(["Surge", "Surge", "InPlace"]))
"Whether there is a gateway, and whether a rollout may have a second copy."
STEPS = st.sampled_from([((20, "5s"),), ((20, "20s"), (50, "40s")), ((1, "0s"), (99, "30s"))])
TROUBLE: tuple[Trouble, ...] = ("Conflict", "Error", "Lost")
FAILING: tuple[Failing, ...] = ("", "Crash", "Unready", "Unschedulable")
LAGGING = ("Deployment", "Pod", "HorizontalPodAutoscaler", "ScaledObject", "ModelDeployment")

LOADS = (
    one_of("offer", RATES),
    one_of("wander", st.sampled_from([(0.0, 40.0), (20.0, 80.0), (10.0, 150.0)])),
    one_of("bound", BOUNDS),
    one_of("change_engine", st.sampled_from(["HPA", "KEDA", "None", "Fixed"])),
)
TROUBLES = (
    one_of("misbehave", VERSIONS, st.sampled_from(FAILING), st.sampled_from([0.0, 8.0])),
    one_of("lose_node", st.sampled_from(NODES), st.booleans()),
    one_of("drain", st.sampled_from(NODES), st.booleans()),
    one_of("limit", st.sampled_from([None, None, 3, 9])),
    one_of("crowd", st.sampled_from([None, None, 4, 8])),
    one_of("hang", st.booleans()),
    one_of("meddle", st.booleans()),
    one_of("lag", st.sampled_from(LAGGING), st.sampled_from([0.0, 0.5, 4.0])),
    one_of("disturb_writes", st.sampled_from([0, 2, 3, 7]), st.sampled_from(TROUBLE)),
    one_of("crash_operator", st.integers(1, 6), st.sampled_from(["before", "after"])),
)


class ScaledHistory(RuleBasedStateMachine):
    """One model's life under load. Some time passes after each step."""

    play: ScaledPlay

    @initialize(
        scaling=st.tuples(ENGINES, BOUNDS),
        steps=STEPS,
        guard=st.sampled_from(["0s", "20s", "90s"]),
        load=RATES,
        how=HOW,
    )
    def begin(
        self, scaling: tuple[str, Any], steps: Any, guard: str, load: float, how: tuple[bool, str]
    ) -> None:
        self.version, (self.engine, self.bounds) = "1", scaling
        options: Json = {"steps": steps, "guard": guard, "gateway": how[0], "capacity": how[1]}
        self.play = ScaledPlay(scaling=self._scaling(), load=load, **options).__enter__()
        self.want("1", 40.0)

    @rule(version=VERSIONS, seconds=SECONDS)
    def want(self, version: str, seconds: float) -> None:
        self.version = version
        self.play.want(version)
        self.play.run(seconds)

    @rule(
        verb=st.sampled_from(["promote", "abort", "retry", "rollback"]),
        version=VERSIONS,
        unique=st.integers(0, 99),
        seconds=SECONDS,
    )
    def command(self, verb: str, version: str, unique: int, seconds: float) -> None:
        self.play.ask(verb, version, str(unique))
        self.play.run(seconds)

    @rule(what=st.one_of(LOADS), seconds=SECONDS)
    def load(self, what: Any, seconds: float) -> None:
        self.act(what, seconds)

    @rule(what=st.one_of(TROUBLES), seconds=SECONDS)
    def disturb(self, what: Any, seconds: float) -> None:
        self.act(what, seconds)

    @rule(
        version=VERSIONS,
        verdict=st.sampled_from(["Pass", "Pass", "Fail", "Inconclusive"]),
        seconds=SECONDS,
    )
    def judge(self, version: str, verdict: str, seconds: float) -> None:
        self.play.script.say(version, verdict)
        self.play.run(seconds)

    @rule()
    def rest(self) -> None:
        """Two minutes in which nothing else happens but the load."""
        self.play.run(120.0)

    def act(self, what: tuple[str, tuple[Any, ...]], seconds: float) -> None:
        name, arguments = what
        getattr(self, f"do_{name}")(*arguments)
        self.play.run(seconds)

    def do_offer(self, rate: float) -> None:
        self.play.load.offer(KEY, rate)

    def do_wander(self, bounds: tuple[float, float]) -> None:
        self.play.load.walk(KEY, *bounds)

    def _scaling(self) -> Json:
        least, most = self.bounds
        if self.engine == "Fixed":
            return {"replicas": max(2, least)}
        if self.engine != "KEDA":
            return make_scaling(self.engine, max(1, least), most)
        return make_scaling("KEDA", least, most, **({} if least else {"idleAfter": "30s"}))

    def do_bound(self, bounds: tuple[int, int]) -> None:
        self.bounds = bounds
        self.play.want(self.version, scaling=self._scaling())

    def do_change_engine(self, engine: str) -> None:
        self.engine = engine
        self.play.want(self.version, scaling=self._scaling())

    def do_meddle(self, meddles: bool) -> None:
        """Somebody's own autoscaler aims at what serves: while it is there, neither acts."""
        server, place = self.play.server, (KEY[0], "somebodys")
        if not meddles:
            if server.find(HPA, place):
                server.delete(HPA, place, "kubectl")
        elif server.find(HPA, place) is None:
            name = f"fraud-{self.play.revision(self.play.stable)}"
            server.create(HPA, KEY[0], make_foreign_autoscaler(name), "kubectl")

    def do_misbehave(self, version: str, failing: Failing, works: float) -> None:
        self.play.pods.behave(version, Behaviour(failing=failing, works_seconds=works))

    def do_lose_node(self, node: str, lost: bool) -> None:
        (self.play.pods.lose_node if lost else self.play.pods.restore_node)(node)

    def do_drain(self, node: str, drained: bool) -> None:
        (self.play.drain.begin if drained else self.play.drain.end)(node)

    def do_limit(self, quota: int | None) -> None:
        self.play.pods.set_quota(quota)

    def do_crowd(self, room: int | None) -> None:
        self.play.pods.set_room(room)

    def do_hang(self, hangs: bool) -> None:
        self.play.autoscaler.working = self.play.keda.working = not hangs

    def do_lag(self, kind: str, late: float) -> None:
        self.play.network.lags[kind] = late

    def do_disturb_writes(self, every: int, trouble: Trouble) -> None:
        def disturb(request: RecordedRequest) -> Trouble | None:
            return trouble if every and request.number % every == 0 else None

        self.play.network.trouble = disturb

    def do_crash_operator(self, write: int, moment: str) -> None:
        self.play.crash_at(write, moment)

    def teardown(self) -> None:
        if not hasattr(self, "play"):
            return
        try:
            self.mend()
            self.check_rest()
        finally:
            self.play.__exit__()

    def mend(self) -> None:
        """Make everything well, under a steady load, and want a version that is new."""
        play = self.play
        for version in ("1", "2", "3", "4"):
            play.pods.behave(version)
        for node in NODES:
            play.pods.restore_node(node)
            play.drain.end(node)
        play.pods.set_quota(None)
        play.pods.set_room(None)
        play.autoscaler.working = play.keda.working = True
        self.do_meddle(meddles=False)
        self.engine = "HPA" if self.engine == "None" else self.engine
        play.network.lags.clear()
        play.network.crash = None
        if play.operator is None:
            play.run(play.restart_seconds)
        play.network.trouble = lambda _request: None
        play.load.offer(KEY, 47.0)
        play.run(60.0)  # a rollback that is seen together with version 5 overrides it, rightly
        play.want("5", scaling=self._scaling())

    def check_rest(self) -> None:
        play = self.play
        play.run(1500.0)
        play.rest()
        assert (play.state(KEY), play.stable) == ("Idle", "5"), play.status(KEY)
        assert play.shares == {"5": 1.0}
        if self.engine == "Fixed":
            assert (play.scalers(), play.sizes()) == ({}, {"5": play.scaling["replicas"]})
            return
        least, most = play.scaling["minReplicas"], play.scaling["maxReplicas"]
        assert play.scalers() == {"5": (least, most)}
        assert set(play.sizes()) == {"5"}
        enough = min(most, max(1, least, math.ceil(47.0 / A_POD / 1.1)))
        assert enough <= play.sizes()["5"] <= max(enough, math.ceil(47.0 / A_POD / 0.9))


TestScaledHistories = ScaledHistory.TestCase
TestScaledHistories.settings = settings(
    max_examples=40,
    stateful_step_count=30,
    report_multiple_bugs=False,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # shrinking takes longer than reading
)
