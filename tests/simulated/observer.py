"""Holds every change of a simulated cluster against the design's invariants as it happens.

They are those of `testbed.witness.invariants`; here the simulation's changes become their log. The
operator's status is never read. What counts as "in force" is what the simulated gateway really
routes by, which no operator can see.
"""

from __future__ import annotations

from typing import Any

from canarium.sim.apiserver import Change as Written
from canarium.sim.apiserver import Key, labels_of
from canarium.sim.controllers.gateway import GatewayRule
from canarium.sim.simulation import Simulation
from canarium.sim.traffic import AnswerPattern, read_version

from testbed.witness.changes import GATEWAY_RULES, MODEL_LABEL, Change, World, is_ready, revision_of
from testbed.witness.expectation import (
    SLACK_SECONDS,
    Expectation,
    LowestSizes,
    Sizes,
    Violation,
)
from testbed.witness.invariants import Homes, Judge

Json = dict[str, Any]
READ = ("ModelRevision", "Deployment", "Service", "HTTPRoute", "EndpointSlice", "Pod")
"The kinds of a model's children that the log has."


class Observer:
    """Looks at every change; what must never happen is an AssertionError that says what did."""

    def __init__(self, sim: Simulation) -> None:
        self._sim = sim
        self._server = sim.server
        self._judges: dict[Key, Judge] = {}
        self._homes = Homes()
        self.passed_over = set[str]()
        "The invariants that a play violates on purpose."
        self.changes = 0
        sim.observe(self.look)

    def look(self, written: Written) -> None:
        """Take one more change."""
        self.changes += 1
        change = translate(written)
        self._homes.note(change)
        self._check(list(self._homes.look(change)))
        if written.kind == "ModelDeployment":
            self._look_at(written.key, change)
            if change.deleted:
                del self._judges[written.key]
        elif written.kind in READ:
            key = written.key[0], labels_of(written.body).get(MODEL_LABEL, "")
            if key in self._judges:
                self._look_at(key, change)

    def _look_at(self, key: Key, change: Change) -> None:
        judge = self._judges.get(key) or self._begin(key)
        if change.kind in ("Deployment", "Service", "HTTPRoute"):
            self._tell_rules(judge, key, change)
        self._check(judge.look(change))

    def _begin(self, key: Key) -> Judge:
        """From now on a model is watched; what is there of its name was there before."""
        judge = self._judges[key] = Judge(self._expect(key))
        for kind in READ:
            for body in self._of(key, kind):
                judge.stage.take(Change(self._sim.now(), "LISTED", kind, body, "nobody"))
        return judge

    def _expect(self, key: Key) -> Expectation:
        """An exact log in virtual time, where no operator waits for a processor."""
        return Expectation(
            key[1],
            look_seconds=SLACK_SECONDS,
            exact=True,
            sizes=lambda: self._make_sizes(key),
            ready=World.ready_behind_services,
            may_fall=self._may_fall,
            is_full=self._is_full,
        )

    def _make_sizes(self, _key: Key) -> Sizes:
        return LowestSizes()

    def _check(self, found: list[Violation]) -> None:
        wrong = [each for each in found if each.invariant not in self.passed_over]
        words = [f"{v.invariant.split()[0]}: {self._name_all(v.message)}" for v in wrong]
        assert not words, words[0]

    def _name_all(self, words: str) -> str:
        """The same with versions instead of revisions."""
        for found in self._server.all_of("ModelRevision"):
            words = words.replace(revision_of(found), read_version(found))
        return words

    # What nobody can see but who looks into the simulation

    def _tell_rules(self, judge: Judge, key: Key, change: Change) -> None:
        gateway, world = self._sim.gateway, judge.stage.world
        spec = {"rules": [*map(_write_rule, (*gateway.rules(key), *gateway.rules_to_come(key)))]}
        if (world.find(GATEWAY_RULES, key[1]) or {}).get("spec") != spec:
            about = {name: change.metadata[name] for name in ("namespace", "resourceVersion")}
            body = {"metadata": {**about, "name": key[1], "uid": GATEWAY_RULES}, "spec": spec}
            judge.look(Change(change.time, "MODIFIED", GATEWAY_RULES, body, "gateway"))

    def _may_fall(self, world: World, revision: str) -> bool:
        """Whether its pods, those who judge it, or the person give a cause to take it back."""
        version, spec = self.name(revision), (world.deployment or {}).get("spec", {})
        judged = self._sim.script.verdict(version), self._sim.traffic.answers(version)
        tried = "experiment" in spec.get("rollout", {})
        mine = [pod for pod in world.all_of("Pod") if revision_of(pod) == revision]
        pods = [pod for pod in mine if "deletionTimestamp" not in pod["metadata"]]
        return (
            spec.get("model", {}).get("version") != version
            or judged != ("Pass", AnswerPattern())
            or self._sim.jobs.course(version).ending != "Complete"
            or (tried and self._sim.script.outcome(version) != "CanaryBetter")
            or not pods
            or not all(map(is_ready, pods))
        )

    def _is_full(self, _world: World) -> bool:
        quota = self._sim.pods.quota
        return quota is not None and sum(1 for _ in self._server.all_of("Pod")) >= quota

    def _of(self, key: Key, kind: str) -> list[Json]:
        found = self._server.all_of(kind)
        return [
            body
            for body in found
            if (body["metadata"]["namespace"], labels_of(body).get(MODEL_LABEL)) == key
        ]

    def name(self, revision: str) -> str:
        """The revision's version."""
        found = self._server.all_of("ModelRevision")
        return next((read_version(r) for r in found if revision_of(r) == revision), revision)


def translate(written: Written) -> Change:
    """A simulated change as one of the log that invariants are checked on."""
    return Change(written.time, written.type, written.kind, written.body, written.by)


def _write_rule(rule: GatewayRule) -> Json:
    """What a gateway works by, as a route would say it."""
    copies = [{"backendRef": {"name": n}, "percent": p} for n, p in rule.copies.items()]
    return {
        "backendRefs": [{"name": name, "weight": w} for name, w in rule.weights.items()],
        "filters": [{"requestMirror": mirror} for mirror in copies],
        "matches": [{"headers": [{}]}] if rule.by_header else [],
    }
