"""A simulation with one model that an autoscaler sizes, and who asserts what must hold of that.

Invariants 2 and 4 are the observer's of `tests/simulated`, by a size that nobody fixed: what those
who serve were given, at the least, since the route was last written. What comes on top is about
autoscalers alone. The operator's status is never read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from canarium.api.durations import parse_duration
from canarium.sim.apiserver import Change as Written
from canarium.sim.apiserver import Key
from canarium.sim.controllers.autoscaling import PERCENT_A_REQUEST
from canarium.sim.network import expired
from canarium.sim.simulation import Simulation

from testbed.witness.changes import MODEL_LABEL, Change, World, labels, needed, revision_of
from testbed.witness.expectation import OURS, LowestSizes, Sizes
from tests.simulated.observer import Observer, translate
from tests.simulated.play import KEY, Json, Play, make_manifest

Engine = Literal["HPA", "KEDA", "None"]
CPU_PERCENT = 50
A_POD = CPU_PERCENT / PERCENT_A_REQUEST
"Requests a second that bring one pod to its target, whichever engine counts."
GIT = "argocd-controller"


def make_scaling(engine: str = "HPA", least: int = 2, most: int = 20, **more: Any) -> Json:
    """`spec.scaling` by CPU through HPA, or by requests a second through KEDA.

    Where it may go to no pods at all, they are counted by somebody else than the pods.
    """
    by_cpu = {"name": "cpu", "type": "CPU", "target": f"{CPU_PERCENT}%"}
    by_rate = {"name": "rps", "type": "RequestsPerSecond", "target": f"{A_POD:g}"}
    if least == 0:
        by_rate |= {"type": "External", "query": 'sum(wanted{model="{{model}}"})'}
    where = {"prometheus": {"address": "http://prometheus.monitoring:9090"}}
    quick = {"behavior": {"scaleDown": {"stabilizationWindowSeconds": 30}}}
    metrics = [by_rate if engine == "KEDA" else by_cpu]
    about = where if engine == "KEDA" else {}
    return {
        "minReplicas": least,
        "maxReplicas": most,
        "engine": engine,
        "metrics": metrics,
        **quick,
        **about,
        **more,
    }


def make_foreign_autoscaler(target: str) -> Json:
    """Somebody's own, that aims at a Deployment."""
    percent = {"type": "Utilization", "averageUtilization": CPU_PERCENT}
    metric = {"type": "Resource", "resource": {"name": "cpu", "target": percent}}
    aim = {"apiVersion": "apps/v1", "kind": "Deployment", "name": target}
    spec = {"scaleTargetRef": aim, "minReplicas": 1, "maxReplicas": 5, "metrics": [metric]}
    return {"apiVersion": "autoscaling/v2", "metadata": {"name": "somebodys"}, "spec": spec}


def make_scaled_manifest(version: str, scaling: Json, **options: Any) -> Json:
    """A ModelDeployment with these bounds instead of a number of pods."""
    body = make_manifest(version, **options)
    server = {**body["spec"]["server"], "resources": {"requests": {"cpu": "1", "memory": "1Gi"}}}
    return {**body, "spec": {**body["spec"], "server": server, "scaling": scaling}}


@dataclass(slots=True)
class Sized:
    """What is known of the sizes of one model's revisions."""

    lowest: dict[str, int] = field(default_factory=dict)
    "The fewest pods that each was given since the route was last written by us."
    tried: str = ""
    "The revision on trial, from its first share until it has none or the guard is over."
    peaks: dict[str, int] = field(default_factory=dict)
    "The most that those were given since to which one may go back: until they have no pods."
    full_at: float | None = None
    "When the one on trial was given everything."
    guard_ended: bool = False
    "Whether a person has done something since."
    served: set[str] = field(default_factory=set)
    "Those that had a share when it was last written."

    def full(self) -> int:
        """The size of those to which one may go back; else of those who serve.

        The former counts for as long as they have pods, since they take everything back.
        """
        counted = self.peaks or self.served
        return max((self.lowest.get(r, 0) for r in counted), default=0)

    def before(self) -> int:
        """The size of those to which one may go back."""
        return max((self.lowest.get(r, 0) for r in self.peaks), default=0)


class ScaledSizes(LowestSizes):
    """Sizes that nobody fixed, as whoever watches an autoscaler's model knows them.

    A share is one of the size of whoever serves, or served before the trial. One pod fewer where
    pods are replaced in place: it may be missing.
    """

    def __init__(self, sized: Sized) -> None:
        super().__init__()
        self._sized = sized

    def take(self, world: World, change: Change) -> None:
        if change.kind == "HTTPRoute" and change.by in OURS and not change.deleted:
            self._sized.served = {r for r, share in read_shares(world, change.object) if share}
        if "replicas" in world.scaling:
            super().take(world, change)
        else:
            self.size = self.asked(world)

    def asked(self, world: World) -> int:
        size = self._full(world)
        return max(1, size - 1) if size and world.in_place else size

    def _full(self, world: World) -> int:
        return super().asked(world) if "replicas" in world.scaling else self._sized.full()

    def kept(self, world: World, share: int, *, leads: bool) -> int:
        return self.kept_of(world, share, self.size, leads=leads)

    def kept_of(self, world: World, share: int, size: int, *, leads: bool) -> int:
        """Where pods are replaced in place, one fewer than a share needs, but never none.

        There the leading Service, with a route beside it, sends its callers to what stable has.
        """
        need = needed(max(100 * leads, share), size) if size else 0
        if not need or not world.in_place:
            return need
        if world.find("HTTPRoute", world.model) is not None:
            need = needed(max(0, share - 1), self._full(world))  # percents are whole ones
        return max(1, need - 1)


def read_shares(world: World, route: Mapping[str, Any]) -> Iterable[tuple[str, int]]:
    """What the rule for everybody gives to each revision."""
    return next(iter(world.shares(route)), {}).items()


class ScalingObserver(Observer):
    """Asserts the invariants where autoscalers choose sizes too."""

    def __init__(self, sim: Simulation) -> None:
        self._sized: dict[Key, Sized] = {}
        super().__init__(sim)

    def look(self, written: Written) -> None:
        change = translate(written)
        if change.kind == "ModelDeployment" and change.by not in OURS:
            self._look_at_wish(change)
        if change.kind == "Deployment":
            self._look_at_size(change, written.was)
        super().look(written)
        if self._splits(change) and change.by in OURS and not change.deleted:
            self._look_at_shares(change, written.was)

    def _make_sizes(self, key: Key) -> Sizes:
        return ScaledSizes(self._sized.setdefault(key, Sized()))

    def _find_spec(self, key: Key) -> Json:
        found: Json = (self._server.find("ModelDeployment", key) or {}).get("spec", {})
        return found

    def _is_in_place(self, key: Key) -> bool:
        return bool(self._find_spec(key).get("rollout", {}).get("capacity") == "InPlace")

    # What a person wants

    def _look_at_wish(self, change: Change) -> None:
        """The guard ends, and a size that is fixed counts from the moment in which it is asked."""
        sized = self._sized.setdefault(key_of(change), Sized())
        sized.guard_ended = True
        fixed = change.object["spec"].get("scaling", {}).get("replicas")
        if fixed is not None:
            sized.lowest = {r: min(size, fixed) for r, size in sized.lowest.items()}

    # What happens to shares

    def _splits(self, change: Change) -> bool:
        """Whether it is what shares requests out: the route, or without one the leading Service."""
        key = key_of(change)
        leads = change.kind == "Service" and key in self._judges
        return change.kind == "HTTPRoute" or (leads and self._server.find("HTTPRoute", key) is None)

    def _read_shares(self, change: Change, body: Mapping[str, Any] | None) -> dict[str, int]:
        """Percent by revision; of a Service that selects several, that each has some."""
        if body is None:
            return {}
        if change.kind == "HTTPRoute":
            return dict(read_shares(self._judges[key_of(change)].stage.world, body))
        one = str(body["spec"]["selector"].get("canarium.dev/revision", ""))
        sizes = self._find_sizes(key_of(change))
        return {one: 100} if one else {r: 1 for r, size in sizes.items() if size}

    def _look_at_shares(self, change: Change, was: Json | None) -> None:
        """We wrote the route: sizes count anew, and a trial may have begun, been won, or ended."""
        key = key_of(change)
        sized = self._sized.setdefault(key, Sized())
        before, after = self._read_shares(change, was), self._read_shares(change, change.object)
        sized.served = {r for r, share in after.items() if share}
        new = [r for r, share in after.items() if share and not before.get(r)]
        going_on = sized.tried and not self._is_guard_over(key)
        sizes = self._find_sizes(key)
        if sized.peaks.keys() & new:  # what is gone back to may be: nothing is kept beside it
            sized.tried, sized.peaks, sized.full_at = new[0], {}, None
        elif going_on and not after.get(sized.tried):
            sized.tried, sized.peaks = "", {}
        elif new and not going_on:
            sized.tried, sized.full_at = new[0], None
            sized.peaks = {r: sizes[r] for r, share in before.items() if share}
        if after.get(sized.tried) == 100 and sized.full_at is None:
            sized.full_at, sized.guard_ended = self._sim.now(), False
        sized.lowest = sizes

    def _find_sizes(self, key: Key) -> dict[str, int]:
        found = self._of(key, "Deployment")
        return {revision_of(d): int(d["spec"]["replicas"]) for d in found}

    def _is_guard_over(self, key: Key) -> bool:
        """Whether the guard is over; a person ends it by asking for more."""
        sized, body = self._sized[key], self._server.find("ModelDeployment", key)
        if body is None or sized.full_at is None:
            return body is None
        guard = parse_duration(body["spec"]["rollout"]["guard"]["duration"])
        return sized.guard_ended or self._sim.now() >= sized.full_at + guard

    # What happens to sizes

    def _look_at_size(self, change: Change, before: Json | None) -> None:
        key, revision = (
            (change.namespace, labels(change.object)[MODEL_LABEL]),
            revision_of(change.object),
        )
        sized = self._sized.setdefault(key, Sized())
        now = 0 if change.deleted else int(change.object["spec"]["replicas"])
        was = int(before["spec"]["replicas"]) if before else 0
        if now < was and self._is_ours_to_keep(key):
            self._check_hand(change, revision, now)
            if not self._is_guard_over(key):
                self._check_peak(change, sized, now)
                self._check_floor(change, key, now)
        if now == 0 < was and change.by in OURS and change.type == "MODIFIED":
            self._check_emptied(change)
        sized.lowest[revision] = min(now, sized.lowest.get(revision, now))
        if now == 0:
            sized.peaks.pop(revision, None)
        if revision in sized.peaks:
            sized.peaks[revision] = max(now, sized.peaks[revision])

    def _is_ours_to_keep(self, key: Key) -> bool:
        """Whether sizes are only up to the load: not fixed, not in place, and nobody meddles."""
        automatic = "maxReplicas" in self._find_spec(key).get("scaling", {})
        scalers = self._server.all_of("HorizontalPodAutoscaler")
        meddles = any(not h["metadata"].get("ownerReferences") for h in scalers)
        return automatic and not meddles and not self._is_in_place(key)

    def _check_peak(self, change: Change, sized: Sized, now: int) -> None:
        """What one would go back to stays at its peak until the guard ends, whoever writes."""
        revision = revision_of(change.object)
        peak = sized.peaks.get(revision, 0) if sized.tried else 0
        assert now >= peak, (
            f"peak: {change.by} takes {self.name(revision)} from {peak} to {now} pods, "
            "and one may have to go back to it"
        )

    def _check_floor(self, change: Change, key: Key, now: int) -> None:
        """Nobody, no autoscaler either, takes from whoever is on trial what its share needs."""
        sized, revision = self._sized[key], revision_of(change.object)
        if revision != sized.tried:
            return
        judge = self._judges[key]
        self._tell_rules(judge, key, change)
        world, sizes = judge.stage.world, ScaledSizes(sized)
        share = judge.stage.rules.share(world, revision, change.time)
        leads = world.selected(world.find("Service", key[1])) == revision
        need = sizes.kept_of(world, share, sized.before(), leads=leads)
        assert now >= need, (
            f"4: {change.by} left {self.name(revision)} {now} of {need} pods in its trial"
        )

    def _check_emptied(self, change: Change) -> None:
        """We take the last pod only once no autoscaler of ours is left that might give new ones."""
        key, name = key_of(change), self.name(revision_of(change.object))
        for kind in ("HorizontalPodAutoscaler", "ScaledObject"):
            assert self._server.find(kind, key) is None, f"left: {name} is emptied under a {kind}"

    def _check_hand(self, change: Change, revision: str, now: int) -> None:
        """What is handed over keeps its size: we ourselves take all pods, or none."""
        assert change.by not in OURS or now == 0, (
            f"hand: {change.by} makes {self.name(revision)} smaller, to {now} pods"
        )


def key_of(change: Change) -> Key:
    """Namespace and name."""
    return change.namespace, change.name


class ScaledPlay(Play):
    """The play of a model that is sized by its load, at `load` requests a second."""

    observed_by = ScalingObserver

    def __init__(self, *, scaling: Json | None = None, load: float = 20.0, **options: Any) -> None:
        super().__init__(**options)
        self.scaling = scaling or make_scaling()
        self.traffic.rate = load

    def want(self, version: str, **options: Any) -> None:
        """Apply a version; options stay for the manifests that follow."""
        self.scaling = options.pop("scaling", self.scaling)
        self.options |= options
        self.apply(make_scaled_manifest(version, self.scaling, **self.options))

    def sync(self, version: str) -> None:
        """What a Git sync does: apply the manifest of the repository, as another manager."""
        self.apply(make_scaled_manifest(version, self.scaling, **self.options), GIT)

    def cut_watch(self, kind: str) -> None:
        """End the operator's watches of a kind, so that it lists anew."""
        assert self.operator is not None
        self.operator.connection.cut(kind, expired())

    def edit(self, **parts: Json) -> None:
        """What `kubectl edit` does: change parts of the spec, and leave the others as they are."""
        self.server.merge("ModelDeployment", KEY, {"spec": parts}, "kubectl-edit", None)

    def sizes(self) -> dict[str, int]:
        """The replicas of every version that has any."""
        found = {version: self.replicas(version) for version in sorted(self.versions())}
        return {version: size for version, size in found.items() if size}

    def scalers(self) -> dict[str, tuple[int, int]]:
        """The bounds that the operator's autoscalers have, by version."""
        names = {f"fraud-{self.revision(version)}": version for version in self.versions()}
        hpas, objects = self.server.all_of("HorizontalPodAutoscaler"), "ScaledObject"
        bounds = {
            h["metadata"]["name"]: (h["spec"]["minReplicas"], h["spec"]["maxReplicas"])
            for h in hpas
        }
        for body in self.server.all_of(objects):
            spec = body["spec"]
            bounds[body["metadata"]["name"]] = spec["minReplicaCount"], spec["maxReplicaCount"]
        return {names[name]: found for name, found in bounds.items() if name in names}


@contextmanager
def scaled(version: str = "1", **options: Any) -> Iterator[ScaledPlay]:
    """A play in which a first version serves, sized by its load, and everything is at rest."""
    with ScaledPlay(**options) as play:
        play.want(version)
        play.until("Idle")
        play.run(120.0)
        yield play


def log_sizes(play: ScaledPlay) -> list[tuple[float, str, int, str]]:
    """Every change of a number of replicas from now on: when, of what, how many, and by whom."""
    found: list[tuple[float, str, int, str]] = []

    def look(change: Written) -> None:
        if change.kind != "Deployment" or change.type == "DELETED":
            return
        was = change.was["spec"]["replicas"] if change.was else None
        now = change.body["spec"]["replicas"]
        if now != was:
            found.append((play.now(), play.observer.name(revision_of(change.body)), now, change.by))

    play.observe(look)
    return found
