"""Random histories in a disturbed cluster: late watches, conflicts, lost answers, crashes, people.

The observer asserts the invariants after every change. When everything is well again, the object
comes to rest, serves what is wanted, and nothing is written any more.
"""

from __future__ import annotations

from typing import Any, get_args

import pytest
from canarium.core.observed import ExperimentVerdict
from canarium.sim.controllers.pods import NODES, Behaviour, Failing
from canarium.sim.network import RecordedRequest, Trouble
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tests.simulated.play import KEY, Play

pytestmark = pytest.mark.timeout(900)
"A dozen seconds of a processor; one that is cut off in the middle shows nothing but that."

Json = dict[str, Any]
VERSIONS = st.sampled_from(["1", "2", "3", "4"])
VERBS = ("promote", "abort", "retry", "restart", "rollback")
TROUBLE: tuple[Trouble, ...] = ("Conflict", "Error", "Lost")
STRATEGIES = ("BlueGreen", "Shadow", "Rolling")
HOLDBACKS = st.sampled_from([0, 1, 20, 50])
STEPS = st.sampled_from([(), ((20, "5s"),), ((20, "5s"), (50, "10s")), ((1, "0s"), (99, "5s"))])
KINDS = ("ModelDeployment", "ModelRevision", "Deployment", "Pod", "Service", "EndpointSlice",
         "HTTPRoute", "Gateway")  # fmt: skip
FAILING: tuple[Failing, ...] = (
    "", "Crash", "OutOfMemory", "Unready", "Unschedulable", "ImagePull", "RegistryBusy",
)  # fmt: skip


SECONDS = st.sampled_from([0.0, 0.02, 0.3, 3.0, 8.0, 12.0, 40.0])


def one_of(name: str, *strategies: Any) -> Any:
    """Calls of one method, as (name, arguments)."""
    return st.tuples(st.just(name), st.tuples(*strategies))


EDITS = (
    one_of("scale", st.integers(1, 5)),
    one_of("choose_steps", STEPS),
    one_of("choose_strategy", st.sampled_from(STRATEGIES)),
    one_of("hold_back", HOLDBACKS),
    one_of("experiment", st.booleans()),
    one_of("compare", VERSIONS, st.sampled_from(get_args(ExperimentVerdict))),
    one_of("edit", st.sampled_from(["judged", "paused"]), st.booleans()),
)
POD_TROUBLE = (
    one_of("misbehave", VERSIONS, st.sampled_from(FAILING), st.sampled_from([0.0, 8.0])),
    one_of("evict", VERSIONS),
    one_of("lose_node", st.sampled_from(NODES), st.booleans()),
    one_of("limit", st.sampled_from([None, None, 2, 5])),
)
NETWORK_TROUBLE = (
    one_of("lag", st.sampled_from(KINDS), st.sampled_from([0.0, 0.5, 4.0, 30.0])),
    one_of("cut_watch", st.sampled_from(KINDS)),
    one_of("disturb_writes", st.sampled_from([0, 2, 3, 7]), st.sampled_from(TROUBLE)),
    one_of("crash_operator", st.integers(1, 6), st.sampled_from(["before", "after"])),
)
WRECKING = (
    one_of("edit_route", st.integers(0, 100)),
    one_of("edit_hosts"),
    one_of("lose_status"),
    one_of("delete"),
)


class DisturbedHistory(RuleBasedStateMachine):
    """One model's life. Some time passes after each step: disturbances alone make no history."""

    play: Play

    @initialize(
        gateway=st.booleans(),
        replicas=st.integers(1, 4),
        steps=STEPS,
        guard=st.sampled_from([("0s", 0), ("20s", 0), ("20s", 1), ("20s", 50)]),
        seed=st.integers(0, 2**16),
    )
    def begin(self, gateway: bool, replicas: int, steps: Any, guard: Any, seed: int) -> None:
        self.version = "1"
        self.guard, self.holdback = guard
        self.tried = False
        options: Any = {"gateway": gateway, "replicas": replicas, "steps": steps}
        self.play = Play(seed=seed, **options).__enter__()
        self._hold_back()
        self.want("1", 20.0)

    @rule(version=VERSIONS, seconds=SECONDS)
    def want(self, version: str, seconds: float) -> None:
        self.version = version
        self.play.want(version)
        self.play.run(seconds)

    @rule(what=st.one_of(EDITS), seconds=SECONDS)
    def change(self, what: Any, seconds: float) -> None:
        self.act(what, seconds)

    @rule(
        verb=st.sampled_from(VERBS),
        version=VERSIONS,
        unique=st.integers(0, 99),
        seconds=SECONDS,
    )
    def command(self, verb: str, version: str, unique: int, seconds: float) -> None:
        if self.exists():
            self.play.ask(verb, version, str(unique))
            self.play.run(seconds)

    @rule(what=st.one_of(POD_TROUBLE), seconds=SECONDS)
    def disturb_pods(self, what: Any, seconds: float) -> None:
        self.act(what, seconds)

    @rule(
        answer=st.sampled_from(["Accept", "Accept", "Refuse", "Never"]),
        late=st.sampled_from([0.1, 3.0, 20.0]),
        seconds=SECONDS,
    )
    def disturb_gateway(self, answer: Any, late: float, seconds: float) -> None:
        self.play.gateway.manners.answer = answer
        self.play.gateway.manners.answer_seconds = late
        self.play.gateway.catch_up()
        self.play.run(seconds)

    @rule(
        version=VERSIONS,
        verdict=st.sampled_from(["Pass", "Pass", "Fail", "Inconclusive", "NoData"]),
        seconds=SECONDS,
    )
    def judge(self, version: str, verdict: str, seconds: float) -> None:
        self.play.script.say(version, verdict)
        self.play.run(seconds)

    @rule(what=st.one_of(NETWORK_TROUBLE), seconds=SECONDS)
    def disturb_network(self, what: Any, seconds: float) -> None:
        self.act(what, seconds)

    @rule(what=st.one_of(WRECKING), seconds=SECONDS, really=st.integers(0, 3))
    def wreck(self, what: Any, seconds: float, really: int) -> None:
        """Now and then."""
        if self.exists() and really == 0:
            self.act(what, seconds)

    @rule()
    def rest(self) -> None:
        """Two minutes in which nothing else happens."""
        self.play.run(120.0)

    def act(self, what: tuple[str, tuple[Any, ...]], seconds: float) -> None:
        name, arguments = what
        getattr(self, f"do_{name}")(*arguments)
        self.play.run(seconds)

    def exists(self) -> bool:
        return self.play.server.find("ModelDeployment", KEY) is not None

    def do_scale(self, replicas: int) -> None:
        self.play.want(self.version, replicas=replicas)

    def do_choose_steps(self, steps: Any) -> None:
        self.play.options.pop("strategy", None)
        self.want_again(steps=steps)

    def do_choose_strategy(self, strategy: str) -> None:
        self.want_again(strategy=strategy)

    def do_hold_back(self, holdback: int) -> None:
        self.holdback = holdback
        self.want_again()

    def do_experiment(self, tried: bool) -> None:
        self.tried = tried
        self.want_again(judged=True)

    def do_compare(self, version: str, outcome: ExperimentVerdict) -> None:
        self.play.script.decide(version, outcome)

    def _hold_back(self) -> None:
        """What can be held back in such a guard, behind such a router, after such steps."""
        options = self.play.options
        highest = 75 if "strategy" in options else max((w for w, _ in options["steps"]), default=0)
        able = options["gateway"] and self.guard != "0s"
        holdback = min(self.holdback, 100 - highest) if able else 0
        options["guard"] = {"duration": self.guard, "holdback": holdback}
        options.pop("experiment", None)
        share = max(50, highest)
        if self.tried and options.get("judged") and share + holdback <= 100:
            limits = {"minDuration": "5s", "maxDuration": "1m"}
            options["experiment"] = {"metric": "clicks", "weight": share, **limits}

    def want_again(self, **options: Any) -> None:
        """Apply the same version with other options."""
        self.play.options |= options
        self._hold_back()
        self.play.want(self.version)

    def do_edit(self, option: str, value: bool) -> None:
        self.want_again(**{option: value})

    def do_misbehave(self, version: str, failing: Failing, works: float) -> None:
        self.play.pods.behave(version, Behaviour(failing=failing, works_seconds=works))

    def do_evict(self, version: str) -> None:
        self.play.pods.evict_all(version)

    def do_lose_node(self, node: str, lost: bool) -> None:
        (self.play.pods.lose_node if lost else self.play.pods.restore_node)(node)

    def do_limit(self, quota: int | None) -> None:
        self.play.pods.set_quota(quota)

    def do_lag(self, kind: str, late: float) -> None:
        self.play.network.lags[kind] = late

    def do_cut_watch(self, kind: str) -> None:
        if self.play.operator is not None:
            self.play.operator.connection.cut(kind)

    def do_disturb_writes(self, every: int, trouble: Trouble) -> None:
        def disturb(request: RecordedRequest) -> Trouble | None:
            return trouble if every and request.number % every == 0 else None

        self.play.network.trouble = disturb

    def do_crash_operator(self, write: int, moment: str) -> None:
        self.play.crash_at(write, moment)

    def do_edit_route(self, weight: int) -> None:
        """Somebody writes other weights into the route's main rule."""
        if self.play.server.find("HTTPRoute", KEY) is not None:
            self.play.server.write("HTTPRoute", KEY, lambda body: reweigh(body, weight), "kubectl")

    def do_edit_hosts(self) -> None:
        """Somebody writes another host name into the route."""
        if self.play.server.find("HTTPRoute", KEY) is not None:
            theirs = {"hostnames": ["theirs.example.com"]}
            self.play.server.write(
                "HTTPRoute", KEY, lambda b: {**b, "spec": {**b["spec"], **theirs}}, "kubectl"
            )

    def do_lose_status(self) -> None:
        self.play.server.merge("ModelDeployment", KEY, {"status": None}, "kubectl", "status")

    def do_delete(self) -> None:
        self.play.delete(KEY)

    def teardown(self) -> None:
        if not hasattr(self, "play"):
            return
        try:
            self.mend()
            self.check_rest()
        finally:
            self.play.__exit__()

    def mend(self) -> None:
        """Make everything well, and want a version that nothing has happened to."""
        play = self.play
        for version in ("1", "2", "3", "4"):
            play.pods.behave(version)
        for version in ("1", "2", "3", "4", "5"):
            play.script.decide(version, "CanaryBetter")
        for node in NODES:
            play.pods.restore_node(node)
        play.pods.set_quota(None)
        play.network.lags.clear()
        play.network.crash = None
        if play.operator is None:
            play.run(play.restart_seconds)
        play.network.trouble = lambda _request: None
        play.gateway.manners.answer, play.gateway.manners.answer_seconds = "Accept", 0.5
        play.gateway.catch_up()
        play.options.pop("strategy", None)
        self._hold_back()
        play.run(60.0)  # a rollback that is seen together with version 5 overrides it, rightly
        play.want("5", paused=False)

    def check_rest(self) -> None:
        play = self.play
        play.run(1500.0)
        play.rest()
        assert (play.state(KEY), play.stable) == ("Idle", "5"), play.status(KEY)
        assert play.shares == {"5": 1.0}
        assert play.replicas("5") == play.options["replicas"]
        pods = {p["metadata"]["labels"]["canarium.dev/revision"] for p in play.server.all_of("Pod")}
        assert pods == {play.revision("5")}


def reweigh(route: Json, weight: int) -> Json:
    """The route with another split between the first and the other backends of its last rule."""
    *others, main = route["spec"]["rules"]
    first, *rest = main["backendRefs"]
    backends = [{**first, "weight": weight}, *({**b, "weight": 100 - weight} for b in rest)]
    rules = [*others, {**main, "backendRefs": backends}]
    return {**route, "spec": {**route["spec"], "rules": rules}}


TestDisturbedHistories = DisturbedHistory.TestCase
TestDisturbedHistories.settings = settings(
    max_examples=60,
    stateful_step_count=40,
    report_multiple_bugs=False,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # shrinking takes longer than reading
)
