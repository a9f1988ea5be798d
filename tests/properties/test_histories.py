"""Random histories of people, pods, gateways, verdicts, crashes and time; invariants 1-5, 7-9.

The invariants are asserted by the world at every write. When everything is well again the object
comes to rest, and rests.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, get_args

import pytest
from canarium.core.observed import ExperimentVerdict
from canarium.core.spec import ExperimentSpec, Traffic
from canarium.rollout.situation.contest import AT_ONCE, LONGEST_SECONDS
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tests.properties.world import GATEWAY_TRAFFIC, World, make_rollout, make_spec

pytestmark = pytest.mark.timeout(900)
VERSIONS = st.sampled_from(["1", "2", "3", "4"])
WEIGHTS = st.sampled_from([(), (20,), (20, 50), (5, 25, 75), (50,), (1, 99)])
ROOM_ENOUGH = 100
"Places that nobody runs out of."
BLINKS = st.sampled_from([2.0, 4.0, 12.0, 20.0])
"Seconds: less than it takes until stable counts as dead, and more."
PASS_SECONDS = 0.01
HOLDBACKS = st.sampled_from([0, 1, 10, 50])
OUTCOMES = st.sampled_from(get_args(ExperimentVerdict))
THEIRS = {"name": "theirs", "port": 80, "weight": 1}
EDITS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "another path": lambda s: s["rules"][-1].update(matches=[{"path": {"value": "/theirs"}}]),
    "another host": lambda s: s.update(hostnames=["theirs.example.com"]),
    "no host": lambda s: s.pop("hostnames", None),
    "another gateway": lambda s: s["parentRefs"][0].update(name="theirs"),
    "a gateway more": lambda s: s["parentRefs"].append({"name": "theirs"}),
    "a rule before ours": lambda s: s["rules"].insert(0, {"backendRefs": [THEIRS]}),
    "a rule after ours": lambda s: s["rules"].append({"backendRefs": [THEIRS]}),
    "a timeout": lambda s: s["rules"][-1].update(timeouts={"request": "1ms"}),
    "weights turned round": lambda s: s["rules"][-1]["backendRefs"].reverse(),
}
"What a stranger does to a live route."


class History(RuleBasedStateMachine):
    world: World
    traffic: Traffic

    @initialize(
        routed=st.booleans(),
        replicas=st.integers(1, 4),
        weights=WEIGHTS,
        guard=st.sampled_from([(0, 0), (30, 0), (30, 10)]),
        gated=st.booleans(),
    )
    def begin(
        self,
        routed: bool,
        replicas: int,
        weights: tuple[int, ...],
        guard: tuple[int, int],
        gated: bool,
    ) -> None:
        self._begin(routed, replicas, weights, guard)
        self.gated = gated
        self.world = World(self._spec(), pass_seconds=PASS_SECONDS)

    def _begin(
        self, routed: bool, replicas: int, weights: tuple[int, ...], guard: tuple[int, int]
    ) -> None:
        self.options: dict[str, Any] = {"guard": guard[0], "deadline": 120.0}
        self.weights, self.replicas, self.holdback = weights, replicas, guard[1]
        self.experiments, self.gated = False, False
        self.traffic = GATEWAY_TRAFFIC if routed else Traffic()
        self.version = "1"

    def _spec(self) -> Any:
        able = self.traffic.parent_refs and self.options["guard"]
        holdback = min(self.holdback, 100 - max(self.weights, default=0)) if able else 0
        highest = max((50, *self.weights))
        tried = ExperimentSpec("error-rate", highest, min_seconds=5.0, max_seconds=60.0)
        experiment = tried if self.experiments and highest + holdback <= 100 else None
        rollout = make_rollout(
            *self.weights,
            holdback=holdback,
            experiment=experiment,
            approval=self.weights if self.gated else (),
            **self.options,
        )
        return make_spec(
            self.version, replicas=self.replicas, traffic=self.traffic, rollout=rollout
        )

    @rule(version=VERSIONS)
    def apply_version(self, version: str) -> None:
        self.version = version
        self.world.apply(self._spec())

    @rule(replicas=st.integers(1, 5))
    def scale(self, replicas: int) -> None:
        self.replicas = replicas
        self.world.apply(self._spec())

    @rule(weights=WEIGHTS, analysis=st.booleans(), holdback=HOLDBACKS, tried=st.booleans())
    def edit_rollout(
        self, weights: tuple[int, ...], analysis: bool, holdback: int, tried: bool
    ) -> None:
        self.weights, self.options["analysis"], self.holdback = weights, analysis, holdback
        self.experiments = tried and analysis
        self.world.apply(self._spec())

    @rule(paused=st.booleans())
    def pause(self, paused: bool) -> None:
        self.options["paused"] = paused
        self.world.apply(self._spec())

    @rule()
    def spoil_spec(self) -> None:
        self.world.apply(None)

    @rule(verb=st.sampled_from(["promote", "abort", "retry"]), unique=st.integers(0, 99))
    def command(self, verb: str, unique: int) -> None:
        revisions = [r.revision for r in self.world.revisions.values()] or ["none"]
        self.world.commands[verb] = f"{revisions[-1]}@{unique}"

    @rule(version=VERSIONS, bad=st.booleans())
    def crash_pods(self, version: str, bad: bool) -> None:
        (self.world.crashing.add if bad else self.world.crashing.discard)(version)
        self.world.make_pods()

    @rule(version=VERSIONS, bad=st.booleans())
    def unready_pods(self, version: str, bad: bool) -> None:
        (self.world.unready.add if bad else self.world.unready.discard)(version)
        self.world.make_pods()

    @rule(versions=st.sets(VERSIONS, min_size=1), seconds=BLINKS, times=st.integers(1, 3))
    def flap_pods(self, versions: set[str], seconds: float, times: int) -> None:
        """Pods of one version, or of several, are not ready for a while, again and again."""
        for _ in range(times):
            self.world.unready |= versions
            self.world.make_pods()
            self.world.run(seconds, tick=1.0)
            self.world.unready -= versions
            self.world.make_pods()
            self.world.run(seconds, tick=1.0)

    @rule(versions=st.sets(VERSIONS, min_size=2), seconds=BLINKS)
    def crash_all(self, versions: set[str], seconds: float) -> None:
        """Several versions crash at once, and recover one by one."""
        self.world.crashing |= versions
        self.world.make_pods()
        for version in sorted(versions):
            self.world.run(seconds, tick=1.0)
            self.world.crashing.discard(version)
            self.world.make_pods()

    @rule(version=VERSIONS)
    def lose_node(self, version: str) -> None:
        if any(r.version == version for r in self.world.revisions.values()):
            self.world.lose_pods(version)

    @rule(version=VERSIONS, verdict=st.sampled_from(["Pass", "Fail", "Inconclusive", "NoData"]))
    def judge(self, version: str, verdict: str) -> None:
        self.world.verdicts[version] = verdict

    @rule(version=VERSIONS, outcome=OUTCOMES)
    def compare(self, version: str, outcome: ExperimentVerdict) -> None:
        self.world.outcomes[version] = outcome

    @precondition(lambda self: bool(self.world.routes))
    @rule(name=st.sampled_from(sorted(EDITS)), times=st.integers(1, 5))
    def edit_live_route(self, name: str, times: int) -> None:
        """Invariant 10: a stranger edits the live route; it says again what was in force.

        At once, or, where this has become a contest, once the longest pause is over.
        """
        world = self.world
        world.settle()
        if not world.status_raw or world.status.traffic is None:
            return  # the status was lost while the spec was of no use: nobody knows the wish
        if not any(pod.ready for pod in world.pods.values()):
            return  # a rule after ours looks as if we had no share: it waits for a ready pod
        stable = world.status.stable
        if world.status.canary is None and (stable is None or not stable.weight):
            return  # nobody has a share by status: no gateway took the first version yet
        before = world.reach()
        for _ in range(times):
            contested = (
                world.condition("Ready")[1] == "RouteContested" if world.status_raw else False
            )
            world.edit_route("HTTPRoute", EDITS[name])
            world.settle()
            if contested or world.reach() == before:
                continue
            routes = world.status.routes
            assert routes is not None
            assert routes.reverts >= AT_ONCE, world.status
        if world.reach() != before:
            world.run(LONGEST_SECONDS + 1.0, tick=2.0)
        assert world.reach() in (before, self._reach_by_spec(before)), world.status

    def _reach_by_spec(self, before: dict[str, Any]) -> dict[str, Any]:
        """The same with the host names that the spec says now, which follow at rest."""
        hosts = {"hostnames": list(self.traffic.hostnames)}
        return {name: {**spec, **hosts} for name, spec in before.items()}

    @precondition(lambda self: bool(self.traffic.parent_refs))
    @rule(host=st.sampled_from(["fraud.example.com", "other.example.com"]))
    def edit_hosts(self, host: str) -> None:
        self.traffic = replace(self.traffic, hostnames=(host,))
        self.world.apply(self._spec())

    @rule()
    def lose_gateway(self) -> None:
        self.world.delete_gateway()

    @rule()
    def restore_gateway(self) -> None:
        self.world.restore_gateway()

    @precondition(lambda self: bool(self.world.status_raw))
    @rule()
    def lose_status(self) -> None:
        self.world.status_raw = {}

    @rule(writes=st.integers(0, 3))
    def crash_operator(self, writes: int) -> None:
        """Killed after so many writes of one pass; the next pass is a new process."""
        self.world.crash_after = writes
        self.world.step()
        self.world.crash_after = None

    @rule(jump=st.sampled_from([-86400.0, -90.0, 5.0, 90.0, 3600.0]))
    def jump_clock(self, jump: float) -> None:
        self.world.take_over(jump)

    @rule(seconds=st.sampled_from([0.5, 1.0, 3.0, 12.0, 40.0, 130.0]))
    def run_for(self, seconds: float) -> None:
        self.world.run(seconds, tick=min(seconds, 2.0))

    @rule()
    def one_pass(self) -> None:
        self.world.step()

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        world = self.world
        world.crashing.clear()
        world.unready.clear()
        world.verdicts.clear()
        world.outcomes = dict.fromkeys(("1", "2", "3", "4"), "CanaryBetter")
        world.restore_gateway()
        self.options["paused"], self.gated = False, False
        world.apply(self._spec())
        world.run(60.0, tick=3.0)
        world.run(600.0, tick=15.0)
        assert world.state in ("Idle", "Rejected"), world.status
        assert sum(world.routed().values()) == 100
        assert world.step().status is None
        assert set(world.routed()) == {world.status.stable.revision}  # type: ignore[union-attr]


class InPlaceHistory(History):
    """The same where there are only as many places as stable has pods, or one or two more."""

    @initialize(
        routed=st.booleans(),
        replicas=st.integers(2, 4),
        weights=WEIGHTS,
        guard=st.sampled_from([(0, 0), (30, 0)]),
        spare=st.integers(0, 2),
    )
    def begin(
        self,
        routed: bool,
        replicas: int,
        weights: tuple[int, ...],
        guard: tuple[int, int],
        spare: int,
    ) -> None:
        self._begin(routed, replicas, weights, guard)
        self.options["capacity"] = "InPlace"
        self.world = World(self._spec(), room=replicas + spare, pass_seconds=PASS_SECONDS)

    @rule(replicas=st.integers(2, 5))
    def scale(self, replicas: int) -> None:
        self.world.room = max(self.world.room or 0, replicas)
        super().scale(replicas)

    def teardown(self) -> None:
        """A first revision may wait for places that one serves from which was never stable."""
        if hasattr(self, "world"):
            proven = any(r.stable_at is not None for r in self.world.revisions.values())
            self.world.room = self.world.room if proven else ROOM_ENOUGH
        super().teardown()


TestHistories = History.TestCase
TestHistories.settings = settings(
    max_examples=60,
    stateful_step_count=40,
    report_multiple_bugs=False,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # shrinking takes longer than reading
)
TestInPlaceHistories = InPlaceHistory.TestCase
TestInPlaceHistories.settings = TestHistories.settings
