"""Asserts the design's invariants after every change, from the simulated objects alone.

The operator's status is never read. What counts as "in force" is what the simulated gateway really
routes by, which no operator can see.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from canarium.sim.apiserver import Change, Key, is_deleting, is_ready, labels_of
from canarium.sim.controllers.gateway import Rule, main_rule, read_rules
from canarium.sim.simulation import Simulation
from canarium.sim.traffic import Answers, read_version

from testbed.witness.changes import MODEL_LABEL, REVISION_LABEL, needed, revision_of
from testbed.witness.invariants import OURS, SLACK_SECONDS
from testbed.witness.reach import Reach, read_reach, wanted_reach

Json = dict[str, Any]
Shares = dict[str, int]
Ready = Mapping[str, int]
ALL = 100


@dataclass(slots=True)
class Trial:
    """A canary since it was first given traffic."""

    revision: str
    beside: frozenset[str] = frozenset()
    "Who served before it: what one could go back to."
    rescued_from: int | None = None
    "The share it had before it got all, since none of those that served before had a ready pod."
    excused: str = ""
    "Why its share may fall: its own fault, the environment's, or a person's act."


@dataclass(slots=True)
class Watched:
    """What is known of one model from watching."""

    size: int = 1
    "The smallest size that the person has asked for since more than one revision has had pods."
    looks: deque[tuple[float, Ready]] = field(default_factory=deque)
    trial: Trial | None = None
    asked: set[tuple[str, str]] = field(default_factory=set)
    "Commands (verb, text) that were given and bring a refused revision again."
    refused: dict[str, set[tuple[str, str]]] = field(default_factory=dict)
    "Revisions that were rolled back, with the commands that had been given before."
    served: set[str] = field(default_factory=set)
    reaches: set[Reach] = field(default_factory=set)
    "The ways in (host names, paths, …) that the person has asked for."


class Observer:
    """Looks at every change; what must never happen is an AssertionError that says what did."""

    def __init__(self, sim: Simulation) -> None:
        self._sim = sim
        self._server = sim.server
        self._watched: dict[Key, Watched] = {}
        self._homes: set[Key] = set()
        self.changes = 0
        sim.observe(self.look)

    def look(self, change: Change) -> None:
        self.changes += 1
        key = change.key[0], labels_of(change.body).get(MODEL_LABEL, "")
        if change.kind == "ModelDeployment":
            self._look_at_model(change)
        elif change.by in OURS:
            self._check_home(change, key)
        watched = self._watched.get(key)
        if watched is None:
            return
        if change.kind == "HTTPRoute":
            self._look_at_route(change, key, watched)
        elif change.kind == "Service" and change.by in OURS:
            self._check_selection(change, key, watched)
            self._check_release(change, key, watched)
        elif change.kind == "Deployment" and change.by in OURS:
            self._check_release(change, key, watched)
            self._check_retried(change, key, watched)
        elif change.kind == "Pod":
            self._look_at_pod(change, watched)
        elif change.kind == "ModelRevision":
            self._look_at_revision(change, key, watched)
        if change.kind in ("Pod", "EndpointSlice", "Service"):
            self._remember(key, watched)
        self._settle(key, watched)

    # The person's object

    def _look_at_model(self, change: Change) -> None:
        watched = self._watched.setdefault(change.key, Watched())
        self._homes.add(change.key)
        if change.type == "DELETED":
            del self._watched[change.key]
            return
        if change.by in OURS:
            was, now = dict(change.was or {}), dict(change.body)
            for body in (was, now):
                body.pop("status", None)
                body["metadata"] = {**body["metadata"], "resourceVersion": ""}
            assert was == now, f"6: {change.by} wrote more of the object than its status"
            return
        given = change.body["metadata"].get("annotations") or {}
        asked = {verb: given.get(f"canarium.dev/{verb}", "") for verb in ("retry", "rollback")}
        watched.asked |= set(asked.items())
        wanted = wanted_reach(change.body)
        watched.reaches |= {wanted} if wanted else set()
        watched.size = min(watched.size, self._wanted_size(change.key))
        if watched.trial:
            watched.trial.excused = "a person's act"

    def _wanted_size(self, key: Key) -> int:
        body = self._server.find("ModelDeployment", key) or {"spec": {}}
        return int(body["spec"].get("scaling", {}).get("replicas", 1))

    def _wanted_version(self, key: Key) -> str:
        body = self._server.find("ModelDeployment", key) or {"spec": {}}
        return str(body["spec"].get("model", {}).get("version", ""))

    def _check_home(self, change: Change, key: Key) -> None:
        assert key in self._homes, (
            f"6: {change.kind} {change.key} was written where no model of its name was"
        )

    # The route

    def _look_at_route(self, change: Change, key: Key, watched: Watched) -> None:
        spec_was = change.was["spec"] if change.was else {}
        if change.type == "DELETED" or spec_was == change.body["spec"]:
            return
        before, after = self._shares(key, spec_was), self._shares(key, change.body["spec"])
        if change.by not in OURS:
            if watched.trial:
                watched.trial.excused = "somebody else wrote the route"
            return
        self._check_reach(change, key, watched)
        self._check_rules(key, read_rules(change.body["spec"]))
        self._check_raises(key, watched, spec_was, change.body["spec"])
        self._check_fall(key, watched, before, after)
        self._try(key, watched, before, after)

    def _check_reach(self, change: Change, key: Key, watched: Watched) -> None:
        """10: what a stranger wrote into the route is never written by us."""
        written = read_reach(change.body, key[1])
        assert not watched.reaches or written in watched.reaches, (
            f"10: nobody has asked for {change.body['spec']}"
        )

    def _shares(self, key: Key, spec: Json) -> Shares:
        """The weights of ordinary requests by revision."""
        return self._by_revision(key, main_rule(read_rules(spec)).weights)

    def _by_revision(self, key: Key, weights: Mapping[str, int]) -> Shares:
        shares: Shares = {}
        for name, weight in weights.items():
            revision = self._revision_behind(key, name)
            shares[revision] = shares.get(revision, 0) + weight
        return shares

    def _revision_behind(self, key: Key, service: str) -> str:
        found = self._server.find("Service", (key[0], service))
        return revision_of(found) if found else f"?{service}"

    def _check_rules(self, key: Key, rules: Sequence[Rule]) -> None:
        existing = {revision_of(r) for r in self._of(key, "ModelRevision")}
        named = set[str]()
        for rule in rules:
            shares = self._by_revision(key, rule.weights)
            assert sum(shares.values()) == 100, f"1: {shares}"
            assert all(0 <= share <= 100 for share in shares.values()), f"1: {shares}"
            copied = self._by_revision(key, rule.copies)
            named |= {r for r, share in shares.items() if share} | copied.keys()
        assert named <= existing, f"1: no such revision as {named - existing}"
        assert len(named) <= 2, f"5: {named}"

    def _check_raises(self, key: Key, watched: Watched, before: Json, after: Json) -> None:
        """2: what a revision needs for the rules that are written, it has."""
        was, now = read_rules(before), read_rules(after)
        looks = self._recent(watched)
        for revision in {revision_of(d) for d in self._of(key, "Deployment")}:
            service = f"{key[1]}-{revision}"
            need = pods_needed(now, service, watched.size)
            if need <= pods_needed(was, service, watched.size) and not _rises(was, now, service):
                continue
            mine = max(look.get(revision, 0) for look in looks)
            others = min(sum(look.values()) - look.get(revision, 0) for look in looks)
            words = f"2: {self.name(revision)} was raised with {mine} of {need} ready: {after}"
            assert mine > 0 or (not others and not watched.size), words
            assert mine >= need or not others, words

    def _check_fall(self, key: Key, watched: Watched, before: Shares, after: Shares) -> None:
        trial = watched.trial
        if trial is None or after.get(trial.revision, 0) >= before.get(trial.revision, 0):
            return
        if trial.rescued_from is not None and after.get(trial.revision, 0) >= trial.rescued_from:
            return  # those that served before are back
        risen = {r for r, share in after.items() if share > before.get(r, 0)}
        if before[trial.revision] == 100 and not risen & trial.beside:
            return  # it won, and another one's trial begins
        version = self.name(trial.revision)
        judged = self._sim.script.verdict(version), self._sim.traffic.answers(version)
        blamed = (
            trial.excused
            or self._wanted_version(key) != version
            or judged != ("Pass", Answers())
            or self._sim.jobs.course(version).ending != "Complete"
            or self._may_lose(key, version)
        )
        pods = self._pods_of(trial.revision)
        assert blamed or not pods or not all(map(is_ready, pods)), (
            f"3: {version} fell from {before} to {after} without a cause"
        )

    def _may_lose(self, key: Key, version: str) -> bool:
        """Whether there is an experiment that it doesn't win."""
        body = self._server.find("ModelDeployment", key) or {"spec": {}}
        tried = "experiment" in body["spec"].get("rollout", {})
        return tried and self._sim.script.outcome(version) != "CanaryBetter"

    def _try(self, key: Key, watched: Watched, before: Shares, after: Shares) -> None:
        """Note whose trial begins with this write, or ends; a share given back is no new trial."""
        for revision in {r for r, share in after.items() if share} - watched.served:
            self._check_forgiven(key, watched, revision)
            watched.trial = Trial(revision, frozenset(watched.served))
        self._note_rescue(watched, before, after)
        watched.served = {r for r, share in after.items() if share}
        if watched.trial and watched.trial.rescued_from is not None:
            watched.served |= watched.trial.beside  # they get their share back
        if watched.trial and watched.trial.revision not in watched.served:
            watched.trial = None

    def _note_rescue(self, watched: Watched, before: Shares, after: Shares) -> None:
        """An emergency: all to the canary while nobody else has a ready pod."""
        trial, looks = watched.trial, self._recent(watched)
        if trial is None or after.get(trial.revision, 0) != ALL or trial.rescued_from is not None:
            return
        others = min(sum(look.get(r, 0) for r in trial.beside) for look in looks)
        if not others:
            trial.rescued_from = before.get(trial.revision, 0)

    # The leading Service

    def _check_selection(self, change: Change, key: Key, watched: Watched) -> None:
        """2 for callers in the cluster: the Service turns to a revision that carries them."""
        if change.key != key or change.type == "DELETED":
            return
        before, after = _selected(change.was), _selected(change.body)
        if after in ("", before):
            return
        pods = {
            revision_of(d): sum(map(is_ready, self._pods_of(revision_of(d))))
            for d in self._of(key, "Deployment")
        }
        mine, others = pods.get(after, 0), sum(pods.values()) - pods.get(after, 0)
        recent = max(mine, *(look.get(after, 0) for look in self._recent(watched)))
        words = f"2: the Service turned to {self.name(after)}: {mine} of {watched.size} ready"
        assert recent >= needed(100, watched.size) or not others or before == "", words
        assert recent > 0 or not others, words

    # Capacity

    def _check_release(self, change: Change, key: Key, watched: Watched) -> None:
        left = _left(change)
        if left is None:
            return
        revision, replicas = left
        if self._has_no_place() and not any(map(is_ready, self._pods_of(revision))):
            return  # pods that carry nothing may give their places to others
        need = self._need_in_force(key, revision, watched.size)
        assert replicas >= need, (
            f"4: {change.kind} of {self.name(revision)} was left {replicas} of {need} pods"
        )

    def _has_no_place(self) -> bool:
        quota = self._sim.pods.quota
        return quota is not None and sum(1 for _ in self._server.all_of("Pod")) >= quota

    def _need_in_force(self, key: Key, revision: str, size: int) -> int:
        """The pods that a revision needs for every rule that somebody may still work by."""
        service = self._server.find("Service", key)
        led = needed(100, size) if service and _selected(service) == revision else 0
        return max(led, self._need_by_rules(key, revision, size)) if size else 0

    def _need_by_rules(self, key: Key, revision: str, size: int) -> int:
        """The same for those who come by the gateway."""
        route, gateway = self._server.find("HTTPRoute", key), self._sim.gateway
        live = read_rules(route["spec"]) if route else ()
        rules = (*live, *gateway.rules(key), *gateway.rules_to_come(key))
        return pods_needed(rules, f"{key[1]}-{revision}", size)

    # Rejections

    def _look_at_revision(self, change: Change, key: Key, watched: Watched) -> None:
        ended = change.body.get("status", {})
        revision = revision_of(change.body)
        refused = ended.get("outcome") == "RolledBack" and ended.get("reason") != "Overridden"
        if refused and change.type != "DELETED":
            watched.refused.setdefault(revision, set(watched.asked))
        if change.type == "DELETED":
            watched.refused.pop(revision, None)

    def _check_retried(self, change: Change, key: Key, watched: Watched) -> None:
        had = change.was["spec"]["replicas"] if change.was else 0
        if change.type != "DELETED" and change.body["spec"]["replicas"] > had == 0:
            self._check_forgiven(key, watched, revision_of(change.body))

    def _check_forgiven(self, key: Key, watched: Watched, revision: str) -> None:
        before = watched.refused.get(revision, set())
        new = (text for _, text in watched.asked - before if text.startswith(revision))
        assert revision not in watched.refused or any(new), (
            f"5: {self.name(revision)} was rolled back and is tried again"
        )
        watched.refused.pop(revision, None)

    # What is seen

    def _look_at_pod(self, change: Change, watched: Watched) -> None:
        """A canary whose pod stops being ready is excused."""
        trial = watched.trial
        if trial is None or revision_of(change.body) != trial.revision or change.was is None:
            return
        lost = is_ready(change.was) and not is_ready(change.body)
        if lost or (is_deleting(change.body) and not is_deleting(change.was)):
            trial.excused = trial.excused or "a pod was lost"

    def _remember(self, key: Key, watched: Watched) -> None:
        """Keep what was ready at which time, for as long as a look may be old.

        A pod counts when its endpoint says so too: one is told before the other.
        """
        now = self._sim.now()
        ready: dict[str, int] = {}
        for deployment in self._of(key, "Deployment"):
            revision = revision_of(deployment)
            slices = self._server.find("EndpointSlice", (key[0], f"{key[1]}-{revision}-x"))
            ready[revision] = sum(map(is_ready, self._pods_of(revision)))
            if slices is not None:
                behind = sum(e["conditions"]["ready"] for e in slices["endpoints"])
                ready[revision] = min(ready[revision], behind)
        if not watched.looks or watched.looks[-1][1] != ready:
            watched.looks.append((now, ready))
        while len(watched.looks) > 1 and watched.looks[1][0] < now - SLACK_SECONDS:
            watched.looks.popleft()

    def _recent(self, watched: Watched) -> list[Ready]:
        """What could be seen within the time that a look may be old."""
        begin = self._sim.now() - SLACK_SECONDS
        while len(watched.looks) > 1 and watched.looks[1][0] < begin:
            watched.looks.popleft()
        return [ready for _, ready in watched.looks] or [{}]

    def _settle(self, key: Key, watched: Watched) -> None:
        """While only one revision has pods, the size is what the person asks for now."""
        if sum(d["spec"]["replicas"] > 0 for d in self._of(key, "Deployment")) <= 1:
            watched.size = self._wanted_size(key)

    def _of(self, key: Key, kind: str) -> list[Json]:
        found = self._server.all_of(kind)
        return [
            body
            for body in found
            if (body["metadata"]["namespace"], labels_of(body).get(MODEL_LABEL)) == key
        ]

    def _pods_of(self, revision: str) -> list[Json]:
        found = self._server.all_of("Pod")
        return [pod for pod in found if revision_of(pod) == revision and not is_deleting(pod)]

    def name(self, revision: str) -> str:
        """The revision's version."""
        found = self._server.all_of("ModelRevision")
        return next((read_version(r) for r in found if revision_of(r) == revision), revision)


def pods_needed(rules: Iterable[Rule], service: str, size: int) -> int:
    """The pods that a revision needs for its share, its copies, and those who come by header."""
    return max((_pods_of_rule(rule, service, size) for rule in rules), default=0)


def _pods_of_rule(rule: Rule, service: str, size: int) -> int:
    if rule.by_header:
        return 1 if rule.weights.get(service) else 0
    share = round(rule.share(service))
    return max(needed(share, size), needed(rule.copies.get(service, 0), size))


def _rises(was: Sequence[Rule], now: Sequence[Rule], service: str) -> bool:
    return main_rule(now).share(service) > main_rule(was).share(service)


def _left(change: Change) -> tuple[str, int] | None:
    """The revision that a write takes capacity from, and what it leaves of it."""
    revision = revision_of(change.body)
    if change.type == "DELETED":
        return (revision, 0) if revision else None
    if change.kind != "Deployment" or change.was is None:
        return None
    replicas = int(change.body["spec"]["replicas"])
    return (revision, replicas) if replicas < int(change.was["spec"]["replicas"]) else None


def _selected(service: Json | None) -> str:
    """The one revision that a Service selects; "" for none or several."""
    selector = (service or {}).get("spec", {}).get("selector") or {}
    return str(selector.get(REVISION_LABEL, ""))
