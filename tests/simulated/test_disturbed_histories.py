"""Random histories in a disturbed cluster: late watches, conflicts, lost answers, crashes, people.

The observer asserts the invariants after every change. When everything is well again, the object
comes to rest, serves what is wanted, and nothing is written any more.
"""

from __future__ import annotations

from typing import Any

from canarium.sim.network import Request, Trouble
from canarium.sim.pods import NODES, Behaviour, Failing
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tests.simulated.play import KEY, Play

VERSIONS = st.sampled_from(["1", "2", "3", "4"])
STEPS = st.sampled_from([(), ((20, "5s"),), ((20, "5s"), (50, "10s")), ((1, "0s"), (99, "5s"))])
KINDS = ("ModelDeployment", "ModelRevision", "Deployment", "Pod", "Service", "EndpointSlice",
         "HTTPRoute", "Gateway")  # fmt: skip
FAILING: tuple[Failing, ...] = (
    "", "Crash", "OutOfMemory", "Unready", "Unschedulable", "ImagePull",
)  # fmt: skip


class DisturbedHistory(RuleBasedStateMachine):
    """One model's life."""

    play: Play

    @initialize(
        gateway=st.booleans(),
        replicas=st.integers(1, 4),
        steps=STEPS,
        guard=st.sampled_from(["0s", "20s"]),
        seed=st.integers(0, 2**16),
    )
    def begin(self, gateway: bool, replicas: int, steps: Any, guard: str, seed: int) -> None:
        self.version = "1"
        self.play = Play(
            seed=seed, gateway=gateway, replicas=replicas, steps=steps, guard=guard
        ).__enter__()
        self.play.want("1")

    # People

    @rule(version=VERSIONS)
    def want(self, version: str) -> None:
        self.version = version
        self.play.want(version)

    @rule(replicas=st.integers(1, 5))
    def scale(self, replicas: int) -> None:
        self.play.want(self.version, replicas=replicas)

    @rule(steps=STEPS, judged=st.booleans(), paused=st.booleans())
    def edit(self, steps: Any, judged: bool, paused: bool) -> None:
        self.play.want(self.version, steps=steps, judged=judged, paused=paused)

    @rule(
        verb=st.sampled_from(["promote", "abort", "retry"]),
        version=VERSIONS,
        unique=st.integers(0, 99),
    )
    def command(self, verb: str, version: str, unique: int) -> None:
        self.play.ask(verb, version, str(unique))

    # The cluster

    @rule(version=VERSIONS, failing=st.sampled_from(FAILING), works=st.sampled_from([0.0, 8.0]))
    def misbehave(self, version: str, failing: Failing, works: float) -> None:
        self.play.pods.behave(version, Behaviour(failing=failing, works_seconds=works))

    @rule(version=VERSIONS)
    def evict(self, version: str) -> None:
        self.play.pods.evict_all(version)

    @rule(node=st.sampled_from(NODES), lost=st.booleans())
    def lose_node(self, node: str, lost: bool) -> None:
        (self.play.pods.lose_node if lost else self.play.pods.restore_node)(node)

    @rule(quota=st.sampled_from([None, 2, 5]))
    def limit(self, quota: int | None) -> None:
        self.play.pods.set_quota(quota)

    @rule(
        answer=st.sampled_from(["Accept", "Refuse", "Never"]),
        seconds=st.sampled_from([0.1, 3.0, 20.0]),
    )
    def change_gateway(self, answer: Any, seconds: float) -> None:
        self.play.gateway.manners.answer = answer
        self.play.gateway.manners.answer_seconds = seconds
        self.play.gateway.catch_up()

    @rule(version=VERSIONS, verdict=st.sampled_from(["Pass", "Fail", "Inconclusive", "NoData"]))
    def judge(self, version: str, verdict: str) -> None:
        self.play.script.say(version, verdict)

    # The network and the operator

    @rule(kind=st.sampled_from(KINDS), seconds=st.sampled_from([0.0, 0.5, 4.0, 30.0]))
    def lag(self, kind: str, seconds: float) -> None:
        self.play.network.lags[kind] = seconds

    @rule(kind=st.sampled_from(KINDS))
    def cut_watch(self, kind: str) -> None:
        if self.play.operator is not None:
            self.play.operator.connection.cut(kind)

    @rule(
        every=st.sampled_from([0, 2, 3, 7]), trouble=st.sampled_from(["Conflict", "Error", "Lost"])
    )
    def disturb_writes(self, every: int, trouble: Trouble) -> None:
        def disturb(request: Request) -> Trouble | None:
            return trouble if every and request.number % every == 0 else None

        self.play.network.trouble = disturb

    @rule(write=st.integers(1, 6), moment=st.sampled_from(["before", "after"]))
    def crash_operator(self, write: int, moment: str) -> None:
        self.play.crash_at(write, moment)

    # Time

    @rule(seconds=st.sampled_from([0.02, 0.5, 3.0, 12.0, 40.0, 130.0]))
    def pass_time(self, seconds: float) -> None:
        self.play.run(seconds)

    def teardown(self) -> None:
        if not hasattr(self, "play"):
            return
        try:
            self.mend()
            self.check_rest()
        finally:
            self.play.__exit__()

    def mend(self) -> None:
        """Make everything well."""
        play = self.play
        for version in ("1", "2", "3", "4"):
            play.pods.behave(version)
            play.script.say(version, "Pass")
        for node in NODES:
            play.pods.restore_node(node)
        play.pods.set_quota(None)
        play.network.lags.clear()
        play.network.crash = None
        play.network.trouble = lambda _request: None
        play.gateway.manners.answer, play.gateway.manners.answer_seconds = "Accept", 0.5
        play.gateway.catch_up()
        play.want(self.version, paused=False)

    def check_rest(self) -> None:
        play = self.play
        play.run(1500.0)
        play.rest()
        assert play.state(KEY) in ("Idle", "Rejected"), play.status(KEY)
        assert play.state(KEY) == "Rejected" or play.stable == self.version
        assert play.shares == {play.stable: 1.0}
        assert play.replicas(play.stable) == play.options["replicas"]
        pods = {p["metadata"]["labels"]["canarium.dev/revision"] for p in play.server.all_of("Pod")}
        assert pods == {play.revision(play.stable)}


TestDisturbedHistories = DisturbedHistory.TestCase
TestDisturbedHistories.settings = settings(
    max_examples=60,
    stateful_step_count=40,
    report_multiple_bugs=False,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # shrinking takes longer than reading
)
