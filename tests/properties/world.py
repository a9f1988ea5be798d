"""A small cluster in memory, in virtual time, that a plan is applied to.

It checks what the real apiserver would (names, owners, resourceVersions), creates pods for
Deployments, lets a gateway answer, and asserts the invariants at each write
(docs/contributing/invariants.md).
The proof on real parts is in tests/e2e.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Literal, cast

from canarium.core.capacity import needed_replicas
from canarium.core.names import MODEL_LABEL, REVISION_LABEL
from canarium.core.normalise import normalise_source
from canarium.core.observed import (
    AnalysisResult,
    ChildRecord,
    ContainerState,
    DeploymentRecord,
    EndpointsRecord,
    ExperimentVerdict,
    GatewayRecord,
    Meta,
    ModelObject,
    Observed,
    Owner,
    PodRecord,
    RevisionRecord,
    Rival,
    RouteCondition,
    RouteParent,
    RouteRecord,
    ScalerRecord,
    ServiceRecord,
    WriteFailure,
)
from canarium.core.plan import (
    Apply,
    Create,
    Delete,
    Event,
    Measure,
    Plan,
    RecordOutcome,
    RouteKind,
    ScalerKind,
)
from canarium.core.provenance import Origin
from canarium.core.spec import (
    AnalysisSpec,
    ExperimentSpec,
    MetricsEndpoint,
    ParentRef,
    RolloutSpec,
    Scaling,
    Spec,
    Step,
    Traffic,
)
from canarium.core.status import Status, parse
from canarium.judge.metrics import Metric
from canarium.resources.pod_template import canonical_json
from canarium.rollout.plan import plan
from canarium.rollout.situation.pace import MOST_BEGUN
from canarium.rollout.situation.scaling import CEILING_FIELDS, FLOOR_FIELDS

from testbed.witness import changes as log
from testbed.witness.changes import Change
from testbed.witness.expectation import Expectation
from testbed.witness.invariants import weight_problems
from tests.properties.judged import Facts, Written, judge
from tests.properties.other_routes import read_shares

UID = "uid-of-the-model"
NAMESPACE = "risk"
NAME = "fraud"
GATEWAY_TRAFFIC = Traffic(
    router="Auto",
    parent_refs=(ParentRef("public", "gateways"),),
    hostnames=("fraud.example.com",),
)
THROTTLE_SECONDS = 2.0
"How long a gateway may go on by the rules before those that it has accepted."
PROXY_SECONDS = 0.9
"How long connections may reach a pod that a Service no longer selects."
NO_PLACE = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu."
_HTTP_ROUTES: tuple[RouteKind, ...] = ("HTTPRoute",)
ERROR_RATE = Metric(name="error-rate", kind="ErrorRate", max=0.05)


def make_rollout(
    *weights: int | Step,
    hold: float = 10.0,
    approval: tuple[int, ...] = (),
    analysis: bool = False,
    guard: float = 30.0,
    holdback: int = 0,
    experiment: ExperimentSpec | None = None,
    deadline: float = 600.0,
    paused: bool = False,
    history: int = 10,
    capacity: Literal["Surge", "InPlace"] = "Surge",
) -> RolloutSpec:
    """Steps by their weights; whole steps stand as they are."""
    steps = tuple(
        w
        if isinstance(w, Step)
        else Step(f"step-{w}", w, hold_seconds=hold, approval=w in approval)
        for w in weights
    )
    return RolloutSpec(
        steps=steps,
        analysis=AnalysisSpec(metrics=(ERROR_RATE,)) if analysis else None,
        progress_deadline_seconds=deadline,
        guard_seconds=guard,
        holdback=holdback,
        experiment=experiment,
        paused=paused,
        capacity=capacity,
        revision_history_limit=history,
        raw={
            "steps": [_write_step(step) for step in steps],
            "guard": [guard, holdback] if holdback else guard,
            "analysis": analysis,
            **({"experiment": repr(experiment)} if experiment else {}),
            **({"capacity": capacity} if capacity != "Surge" else {}),
        },
    )


def _write_step(step: Step) -> dict[str, Any]:
    """A step in the words of a spec, as far as a copy can be told from an edit by it."""
    plain = {"name": step.name, "weight": step.weight, "hold": step.hold_seconds}
    extra = {
        "approval": step.approval,
        "mirror": step.mirror,
        "headers": [{"name": h.name, "value": h.value, "type": h.type} for h in step.headers],
        "replicas": step.replicas or step.replicas_percent,
    }
    return {**plain, **{name: value for name, value in extra.items() if value}}


def make_spec(
    version: str = "1",
    *,
    replicas: int = 2,
    traffic: Traffic = GATEWAY_TRAFFIC,
    rollout: RolloutSpec | None = None,
    scaling: Scaling | None = None,
) -> Spec:
    source = {
        "model": {"version": version},
        "server": {"image": f"registry.example/fraud:{version}"},
    }
    return Spec(
        source=source,
        canonical=canonical_json(normalise_source(source)),
        model_name=NAME,
        version=version,
        image=f"registry.example/fraud:{version}",
        port=8080,
        replicas=max(1, scaling.min_replicas) if scaling else replicas,
        traffic=traffic,
        rollout=rollout or make_rollout(20, 50),
        scaling=scaling or Scaling(),
        metrics=MetricsEndpoint(port=8082, path="/metrics", profile="MLServer"),
    )


@dataclass
class World:
    """The cluster, one ModelDeployment in it, and the clock."""

    spec: Spec | None
    now: float = 1_800_000_000.0
    ahead: float = 0.0
    "How far the clock that decisions are made by is from the time that pods live in."
    watched_since: float = 0.0
    status_raw: dict[str, Any] = field(default_factory=dict)
    commands: dict[str, str] = field(default_factory=dict)
    generation: int = 1
    resource_version: int = 1
    revisions: dict[str, RevisionRecord] = field(default_factory=dict)
    deployments: dict[str, DeploymentRecord] = field(default_factory=dict)
    services: dict[str, ServiceRecord] = field(default_factory=dict)
    routes: dict[str, RouteRecord] = field(default_factory=dict)
    pods: dict[str, PodRecord] = field(default_factory=dict)
    gateway: GatewayRecord | None = None
    controller: str = "traefik.io/gateway-controller"
    "Who serves the gateway, and answers for routes."
    gateway_api: bool = True
    installed: frozenset[RouteKind] = frozenset()
    "Kinds of routes of other makers."
    others: dict[RouteKind, dict[str, RouteRecord]] = field(default_factory=dict)
    "The routes of those kinds, by kind and name."
    unready: set[str] = field(default_factory=set)
    "Revisions whose pods don't become ready."
    crashing: set[str] = field(default_factory=set)
    verdicts: dict[str, str] = field(default_factory=dict)
    "What the judge says of a revision; Pass when it isn't named."
    findings: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    "By version: fields of the judge's result that are as given here."
    outcomes: dict[str, ExperimentVerdict] = field(default_factory=dict)
    "What an experiment with a revision says; Undecided when it isn't named."
    scalers: dict[str, ScalerRecord] = field(default_factory=dict)
    budgets: dict[str, ChildRecord] = field(default_factory=dict)
    scaler_kinds: frozenset[ScalerKind] = frozenset(("HorizontalPodAutoscaler", "ScaledObject"))
    loads: dict[str, int] = field(default_factory=dict)
    "How many pods the load of a version asks for; its autoscaler goes there, within its bounds."
    room: int | None = None
    "How many pods there is place for; None for any number."
    failures: tuple[WriteFailure, ...] = ()
    rivals: tuple[Rival, ...] = ()
    last_plan: Plan = field(default_factory=Plan)
    events: list[str] = field(default_factory=list)
    "Their reasons."
    told: list[Event] = field(default_factory=list)
    writes: list[str] = field(default_factory=list)
    rescued: set[str] = field(default_factory=set)
    "The canaries that got more in an emergency than their step gives them."
    approved: set[str] = field(default_factory=set)
    "The revisions that a person promoted, with effect."
    ungated: set[str] = field(default_factory=set)
    "The canaries whose steps ever asked for nobody's approval."
    pass_seconds: float = 0.0
    "How long a pass takes: what is written at another moment is another status."
    decided: list[tuple[object, ...]] = field(default_factory=list)
    "What was decided, one after the other, since there was last anything new to see."
    edited: bool = False
    "Whether somebody else wrote the route last."
    theirs: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    "The fields of routes' specs that strangers added, which an apply leaves as they are."
    before_edit: dict[str, int] = field(default_factory=dict)
    "The weights that were live before that: to put them back raises nothing."
    crash_after: int | None = None
    "End the operator after so many more writes."
    answered: set[str] = field(default_factory=set)
    "The uids that this operator's creates were answered with."
    taken: dict[str, int] = field(default_factory=dict)
    "What the gateway works by, as in `demands`."
    lingering: tuple[tuple[float, dict[str, int]], ...] = ()
    "The same of rules that were replaced: until when they may still be worked by."
    _seen: tuple[object, ...] = ()
    _parsed: tuple[dict[str, Any], Status] | None = None

    def __post_init__(self) -> None:
        self.restore_gateway()

    def restore_gateway(self) -> None:
        self.gateway = GatewayRecord(
            Meta("gateways", "public", "uid-of-the-gateway", "1"), "traefik", programmed=True
        )

    @property
    def clock(self) -> float:
        """The time that decisions are made by."""
        return self.now + self.ahead

    def take_over(self, jump: float) -> None:
        """Another operator leads, and clocks were set meanwhile; the Lease tells of a long gap."""
        self.ahead += jump
        self.watched_since = self.clock if jump > 60.0 else 0.0

    # What people do

    def apply(self, spec: Spec | None) -> None:
        self.spec = spec
        self.generation += 1

    def command(self, verb: str, version: str, step: str = "", unique: str = "1") -> None:
        where = f":{step}" if step else ""
        self.commands[verb] = f"{self.revision(version)}{where}@{unique}"

    # What the cluster does

    def tick(self, seconds: float) -> None:
        """Time goes by; pods that may become ready do; the gateway takes what was written."""
        self.now += seconds
        self.scale()
        self.make_pods()
        self.answer_routes()

    def scale(self) -> None:
        """Autoscalers bring their Deployments between their bounds, to what the load asks for."""
        for scaler in self.scalers.values():
            live = self.deployments.get(scaler.target_name)
            spec = json.loads(scaler.spec)
            zero = scaler.kind == "ScaledObject" and not spec["minReplicaCount"]
            if live is None or (live.replicas == 0 and not zero):
                continue
            least, most = spec[FLOOR_FIELDS[scaler.kind]], spec[CEILING_FIELDS[scaler.kind]]
            wanted = self.loads.get(self.version_of(live.revision), least)
            size = min(most, max(least, wanted))
            if size != live.replicas:
                meta = replace(live.meta, resource_version=str(self._next()))
                self.deployments[scaler.target_name] = replace(live, meta=meta, replicas=size)

    def make_pods(self) -> None:
        for deployment in self.deployments.values():
            mine = [p for p in self.pods.values() if p.revision == deployment.revision]
            for pod in mine[deployment.replicas :]:
                del self.pods[pod.meta.name]
            for number in range(len(mine), deployment.replicas):
                self._make_pod(deployment, number)
        self.schedule()
        for name, pod in self.pods.items():
            self.pods[name] = self._age(pod)
        self._count_pods()

    def schedule(self) -> None:
        """Pods get a place in the order in which they were made, as long as there is one."""
        room = len(self.pods) if self.room is None else self.room
        free = room - sum(pod.scheduled for pod in self.pods.values())
        for name, pod in self.pods.items():
            if not pod.scheduled:
                message = "" if free > 0 else NO_PLACE
                self.pods[name] = replace(pod, scheduled=free > 0, scheduling_message=message)
                free -= 1

    def _make_pod(self, deployment: DeploymentRecord, number: int) -> None:
        name = f"{deployment.meta.name}-{number}-{self._next()}"
        made_at = float(int(self.clock))
        meta = Meta(NAMESPACE, name, f"uid-{name}", str(self.resource_version), created_at=made_at)
        placed = self.room is None
        self.pods[name] = PodRecord(meta, deployment.revision, ip="198.18.0.9", scheduled=placed)

    def _age(self, pod: PodRecord) -> PodRecord:
        version = self.version_of(pod.revision)
        if version in self.crashing:
            state = ContainerState(
                "server", restarts=2, waiting_reason="CrashLoopBackOff", terminated_exit_code=1
            )
            return replace(pod, ready=False, containers=(state,))
        ready = pod.scheduled and version not in self.unready
        state = ContainerState("server", ready=ready)
        phase = "Running" if pod.scheduled else "Pending"
        return replace(pod, ready=ready, phase=phase, containers=(state,))

    def _count_pods(self) -> None:
        for name, deployment in self.deployments.items():
            mine = [p for p in self.pods.values() if p.revision == deployment.revision]
            self.deployments[name] = replace(
                deployment, current_replicas=len(mine), ready_replicas=sum(p.ready for p in mine)
            )

    def lose_pods(self, version: str) -> None:
        """All pods of a version go, as when their node dies; new ones come with time."""
        revision = self.revision(version)
        self.pods = {n: p for n, p in self.pods.items() if p.revision != revision}
        self._count_pods()

    def answer_routes(self) -> None:
        if self.gateway is None:
            return
        self.take_rules()
        for name, route in self.routes.items():
            conditions = tuple(
                RouteCondition(kind, "True", kind, "", route.meta.generation)
                for kind in ("Accepted", "ResolvedRefs")
            )
            parents = (RouteParent("public", "gateways", None, self.controller, conditions),)
            self.routes[name] = replace(route, parents=parents)

    def take_rules(self) -> None:
        """What is written is worked by from now on, and what was before for a while too."""
        demands = self.demands()
        kept = tuple((until, old) for until, old in self.lingering if until > self.now)
        if demands != self.taken:
            lag = THROTTLE_SECONDS if self.routes else PROXY_SECONDS
            kept = (*kept, (self.now + lag, self.taken))
        self.taken, self.lingering = demands, kept

    def edit_weight(self, was: int, to: int) -> None:
        """Somebody else writes other weights into the route."""
        route = self.routes[NAME]
        spec = route.spec.replace(f'"weight": {was}'.encode(), f'"weight": {to}'.encode())
        self._write_as_stranger(route, spec)

    def edit_route(
        self, kind: RouteKind, change: Callable[[dict[str, Any]], Any], name: str = NAME
    ) -> None:
        """Somebody else writes a route of a kind."""
        route = self._store(kind)[name]
        spec = json.loads(route.spec)
        change(spec)
        self._write_as_stranger(route, json.dumps(spec).encode())

    def edit_selector(self, selector: dict[str, str]) -> None:
        """Somebody else writes the leading Service."""
        service = self.services[NAME]
        spec = {**json.loads(service.spec), "selector": selector}
        meta = replace(service.meta, resource_version=str(self._next()))
        self.services[NAME] = replace(service, meta=meta, spec=json.dumps(spec).encode())
        self.edited = True

    def _write_as_stranger(self, route: RouteRecord, spec: bytes) -> None:
        self.before_edit = self.routed() if not self.edited else self.before_edit
        number = str(self._next())
        meta = replace(route.meta, resource_version=number, generation=route.meta.generation + 1)
        edited = replace(route, meta=meta, spec=spec, writers=("kubectl-patch",))
        added = json.loads(spec).keys() - json.loads(route.spec).keys()
        self.theirs.setdefault((route.kind, route.meta.name), set()).update(added)
        self._store(route.kind)[route.meta.name] = edited
        self.edited = True

    def reach(self) -> dict[str, Any]:
        """What the live routes say beside weights: host names, gateways, paths and timeouts."""
        routes = {("HTTPRoute", NAME): self.routes[NAME]} if self.routes else {}
        routes |= {(k, n): r for k, found in self.others.items() for n, r in found.items()}
        return {f"{k} {n}": _strip_weights(json.loads(r.spec)) for (k, n), r in routes.items()}

    def delete_gateway(self) -> None:
        self.gateway = None

    # The operator

    def observe(self) -> Observed:
        meta = Meta(NAMESPACE, NAME, UID, str(self.resource_version), generation=self.generation)
        commands = dict(self.commands)
        return Observed(
            model=ModelObject(
                meta, self.spec, commands=commands, status=self.status, origin=self._origin()
            ),
            revisions=tuple(self.revisions.values()),
            deployments=tuple(self.deployments.values()),
            pods=tuple(self.pods.values()),
            services=tuple(self.services.values()),
            endpoints=tuple(self._endpoints()),
            routes=(*self.routes.values(), *self._other_routes()),
            gateways=(self.gateway,) if self.gateway else (),
            installed=self.installed | frozenset(_HTTP_ROUTES if self.gateway_api else ()),
            scalers=tuple(self.scalers.values()),
            scaler_kinds=self.scaler_kinds,
            budgets=tuple(self.budgets.values()),
            prometheus_url="http://prometheus.example:9090",
            watched_since=self.watched_since,
            analysis=self._judge(),
            failures=self.failures,
            rivals=self.rivals,
            answered=frozenset(self.answered),
        )

    def _origin(self) -> Origin:
        return Origin(self.generation, "kubectl-client-side-apply", "Update", 1_700_000_000.0)

    def _other_routes(self) -> list[RouteRecord]:
        return [route for routes in self.others.values() for route in routes.values()]

    def _endpoints(self) -> list[EndpointsRecord]:
        return [
            EndpointsRecord(replace(service.meta, name=f"{name}-x"), name, self._ready(selector))
            for name, service in self.services.items()
            if REVISION_LABEL in (selector := json.loads(service.spec)["selector"])
        ]

    def ready(self, revision: str) -> int:
        """How many pods of a revision are ready."""
        return sum(p.ready and p.revision == revision for p in self.pods.values())

    def _ready(self, selector: dict[str, str]) -> int:
        revision = selector.get(REVISION_LABEL)
        return sum(p.ready and revision in (None, p.revision) for p in self.pods.values())

    def _judge(self) -> AnalysisResult | None:
        measure = self.last_plan.measure
        if measure is None or self.clock <= measure.not_before:
            return None
        verdict = self.verdicts.get(self.version_of(measure.canary), "Pass")
        reason = "ErrorRateTooHigh" if verdict == "Fail" else ""
        rows = ({"metric": "error-rate", "verdict": verdict},)
        result = AnalysisResult(measure.key, verdict, reason, "12 of 40", rows, f"s{self.now}")
        result = replace(result, **self.findings.get(self.version_of(measure.canary), {}))
        return self._experiment(measure, result) if measure.experiment else result

    def _experiment(self, measure: Measure, result: AnalysisResult) -> AnalysisResult:
        outcome = self.outcomes.get(self.version_of(measure.canary), "Undecided")
        row = {"metric": measure.experiment, "check": "experiment", "verdict": outcome}
        rows = (*result.rows, {**row, "message": "40 of 400 against 41 of 401"})
        return replace(result, rows=rows, experiment=outcome)

    def step(self) -> Plan:
        """One pass of the operator; its writes land, checked."""
        made = plan(self.observe(), self.clock)
        assert plan(self.observe(), self.clock) == made, "a plan is a function of what is observed"
        self.last_plan = made
        self.events.extend(event.reason for event in made.events)
        self.told.extend(made.events)
        if made.status is not None and self._survives("status"):
            before = self.status
            self.status_raw = json.loads(json.dumps(made.status))
            self.answered -= set((self.status.made or {}).values())
            self._next()
            self.check_status()
            self.check_promotion(before)
            self.check_decision(before)
            if (
                not self.routes
            ):  # where pods share a Service, what is meant is what is reckoned with
                self.take_rules()
        for write in made.writes:
            if self._survives(type(write).__name__):
                self._land_checked(write)
        return made

    def _land_checked(self, write: Any) -> None:
        """Let a write land, and hold it against the invariants."""
        before = self._facts()
        self._land(write)
        if not self.routes:
            self.take_rules()
        expected = Expectation(NAME, exact=True, may_fall=self._may_fall, is_full=self._is_full)
        canary = self.status.canary
        stage = Written(self, before, self._facts(), expected)
        found = judge(stage, self._tell(write), canary.revision if canary else "")
        self.edited = False
        words = [f"{each.invariant}: {each.message}, in {self.state}" for each in found]
        assert not found, words[0]

    def _facts(self) -> Facts:
        return Facts(self.routed(), self.demands(), self._sizes())

    def _tell(self, write: Any) -> Change:
        """A write as a change of the log that invariants are checked on."""
        about = {"name": write.ref.name, "uid": "", "resourceVersion": self.resource_version}
        kind = "DELETED" if isinstance(write, Delete) else "MODIFIED"
        return Change(self.now, kind, write.ref.kind, {"metadata": about}, "canarium")

    def _sizes(self) -> dict[str, int]:
        return {d.revision: d.replicas for d in self.deployments.values()}

    def _survives(self, what: str) -> bool:
        """Whether the operator lives to make this write."""
        if self.crash_after is None:
            self.writes.append(what)
            return True
        self.crash_after -= 1
        if self.crash_after < 0:
            self.answered.clear()
        return self.crash_after >= 0

    def settle(self, *, most: int = 60) -> None:
        """Passes until nothing is left to write at this moment."""
        for _ in range(most):
            made = self.step()
            if made.status is None and not made.writes:
                return
            self.now += self.pass_seconds
        raise AssertionError(f"the operator does not come to rest: {made}")

    def run(self, seconds: float, *, tick: float = 1.0) -> None:
        """Let the operator and the cluster run."""
        end = self.now + seconds
        while self.now < end:
            self.settle()
            self.tick(min(tick, end - self.now))
        self.settle()

    def run_until(self, state: str, *, most: float = 600.0) -> None:
        end = self.now + most
        while self.state != state:
            assert self.now < end, f"never {state}; it is {self.state}: {self.status}"
            self.settle()
            if self.state != state:
                self.tick(1.0)

    # The apiserver

    def _land(self, write: Any) -> None:
        kind, name = write.ref.kind, write.ref.name
        if isinstance(write, Delete):
            self._store(kind).pop(name)
        elif isinstance(write, RecordOutcome):
            self._record(name, write)
        elif isinstance(write, Create):
            self._make_way(kind, name, write)
            self._create(kind, name, write.body)
            if kind in ("Deployment", "Job"):
                self.answered.add(self._store(kind)[name].meta.uid)
        else:
            self._apply(kind, name, write)

    def _make_way(self, kind: str, name: str, write: Create) -> None:
        """The name of what is created is free, or has what isn't ours and is replaced."""
        found = self._store(kind).pop(name, None)
        if found is not None:
            assert write.uid is not None, f"{kind} {name} exists already"
            assert found.meta.uid != write.uid, f"{kind} {name} exists already, and is ours"
            self.pods = {n: p for n, p in self.pods.items() if not n.startswith(f"{name}-")}

    def _store(self, kind: str) -> dict[str, Any]:
        stores: dict[str, dict[str, Any]] = {
            "ModelRevision": self.revisions,
            "Deployment": self.deployments,
            "Service": self.services,
            "HTTPRoute": self.routes,
            "HorizontalPodAutoscaler": self.scalers,
            "ScaledObject": self.scalers,
            "PodDisruptionBudget": self.budgets,
        }
        return stores[kind] if kind in stores else self.others.setdefault(cast("Any", kind), {})

    def _meta(self, body: Any, *, generation: int = 1) -> Meta:
        meta = body["metadata"]
        owner = meta["ownerReferences"][0]
        return Meta(
            meta["namespace"],
            meta["name"],
            f"uid-{meta['name']}-{self._next()}",
            str(self.resource_version),
            generation=generation,
            labels=meta["labels"],
            owner=Owner(owner["kind"], owner["name"], owner["uid"]),
            created_at=self.clock,
        )

    def _create(self, kind: str, name: str, body: Any) -> None:
        meta, spec = self._meta(body), body["spec"]
        if kind == "ModelRevision":
            self.revisions[name] = RevisionRecord(
                meta,
                meta.labels[REVISION_LABEL],
                canonical=canonical_json(normalise_source(spec["source"])),
                template=spec["template"],
                digest=spec["digest"],
                version=spec["source"]["model"]["version"],
                rollout=self.spec.rollout if self.spec else None,
                metrics=MetricsEndpoint(port=8082, path="/metrics", profile="MLServer"),
                started_at=self.clock,
                image=spec["source"]["server"]["image"],
            )
        elif kind == "Deployment":
            template = json.dumps(spec["template"]).encode()
            self.deployments[name] = DeploymentRecord(
                meta, meta.labels[REVISION_LABEL], 1, template
            )
        elif kind == "Service":
            self.services[name] = ServiceRecord(meta, json.dumps(spec).encode())
        elif kind in FLOOR_FIELDS:
            target = spec["scaleTargetRef"]
            assert target["name"] in self.deployments, "an autoscaler of nothing"
            assert kind == "ScaledObject" or spec["minReplicas"] > 0, "Kubernetes refuses that"
            self.scalers[name] = ScalerRecord(
                meta, kind, target["kind"], target["name"], json.dumps(spec).encode()
            )
        elif kind == "PodDisruptionBudget":
            self.budgets[name] = ChildRecord(meta, json.dumps(spec).encode())
        else:
            assert kind in self.observe().installed, "the kind is not installed"
            self._store(kind)[name] = RouteRecord(meta, json.dumps(spec).encode(), kind=kind)

    def _apply(self, kind: str, name: str, write: Apply) -> None:
        live = self._store(kind)[name]
        assert write.resource_version == live.meta.resource_version
        assert write.manager == ("canarium-capacity" if _is_scale(write) else "canarium")
        meta = replace(
            live.meta,
            resource_version=str(self._next()),
            generation=live.meta.generation + 1,
        )
        spec = write.body["spec"]
        if kind == "Deployment" and _is_scale(write):
            self.deployments[name] = replace(live, meta=meta, replicas=spec["replicas"])
        elif kind == "Deployment":
            template = json.dumps(spec["template"]).encode()
            self.deployments[name] = replace(live, meta=meta, template=template)
        else:
            added = self.theirs.get((kind, name), set()) - {path[0] for path in write.removes}
            left = {k: v for k, v in json.loads(live.spec).items() if k in added and k not in spec}
            whole = json.dumps({**spec, **left}).encode()
            self._store(kind)[name] = replace(live, meta=meta, spec=whole)

    def _record(self, name: str, write: RecordOutcome) -> None:
        live, change = self.revisions[name], write.status
        assert write.resource_version == live.meta.resource_version
        rollout = self.spec.rollout if self.spec and "rollout" in change else live.rollout
        self.revisions[name] = replace(
            live,
            meta=replace(live.meta, resource_version=str(self._next())),
            outcome=change["outcome"] or "" if "outcome" in change else live.outcome,
            rollout=rollout,
            stable_at=self.clock if "stableAt" in change else live.stable_at,
            started_at=self.clock if "startedAt" in change else live.started_at,
        )

    def _next(self) -> int:
        self.resource_version += 1
        return self.resource_version

    # What must always hold

    def _may_fall(self, _world: log.World, canary: str) -> bool:
        """Whether a canary's weight may fall: it is taken back, has no pod, or was edited."""
        lost, rollout = self.ready(canary) == 0, self.status.rollout
        retreats = rollout is not None and rollout.retreats > 0
        taken_back = lost or retreats or self.state == "Reverting"
        return self.edited or self._is_given_back(canary) or taken_back

    def _is_full(self, _world: log.World) -> bool:
        return self.room is not None

    def _is_given_back(self, canary: str) -> bool:
        """Whether it falls because stable is back after an emergency, by which it had risen."""
        given = canary in self.rescued
        if self.status.rollout is None or self.status.rollout.emergency_at is None:
            self.rescued.discard(canary)
        return given

    def check_status(self) -> None:
        """Invariants 1 and 5, and that a rejected revision is not on trial."""
        status = self.status
        parts = [part for part in (status.stable, status.canary, status.previous) if part]
        weights = [part.weight for part in parts]
        shares = {f"{n} {part.revision}": part.weight for n, part in enumerate(parts)}
        problems = list(weight_problems(shares)) if any(weights) else []
        assert not problems, f"{problems[0]} in {shares}"
        assert len(status.begun_at) <= MOST_BEGUN, "too many are begun"
        serving = (f"{NAME}-{part.revision}" for part in parts if part.weight)
        uids = {self.deployments[name].meta.uid for name in serving if name in self.deployments}
        assert uids <= set((status.made or {}).values()), "who serves is on the account"
        extras = status.stable is not None and (status.stable.mirror or status.stable.headers)
        assert not extras, "stable gets what only a canary may get"
        if status.rollout and status.canary and status.rollout.emergency_at is not None:
            self.rescued.add(status.canary.revision)
        if status.rollout and status.rollout.state in ("Scaling", "Shifting", "Holding"):
            trial = status.canary.revision if status.canary else ""
            assert trial not in {r.revision for r in status.rejected}, "a rejected one is tried"

    def check_promotion(self, before: Status) -> None:
        """No canary becomes stable past a person's approval, whatever became of stable."""
        status, canary, spec = self.status, before.canary, self.spec
        handled = status.last_handled_commands.get("promote", "")
        new = handled != before.last_handled_commands.get("promote", "")
        if new and "promote" not in status.ignored_commands:
            self.approved.add(handled.partition("@")[0].partition(":")[0])
        if canary is None or status.stable is None:
            return
        if spec is not None and not any(step.approval for step in spec.rollout.steps):
            self.ungated.add(canary.revision)
        record = next((r for r in self.revisions.values() if r.revision == canary.revision), None)
        if status.stable.revision != canary.revision or (record and record.stable_at is not None):
            return
        free = self.approved | self.ungated
        assert canary.revision in free, f"{canary.revision} is promoted and nobody approved"

    def check_decision(self, before: Status) -> None:
        """Invariant 11: nothing that was decided is taken back without something new to see."""
        seen = (
            *(self.spec, dict(self.commands), tuple(self.pods.values()), self.gateway),
            tuple(route.parents for route in self.routes.values()),
            *(dict(self.verdicts), dict(self.outcomes), dict(self.loads), self.failures),
        )
        if seen != self._seen or before.rollout is None or not self.decided:
            self.decided.clear()
            self.decided.append(_decisions(before))
        self._seen, now = seen, _decisions(self.status)
        if now == self.decided[-1]:
            return
        taken_back = now in self.decided
        self.decided.append(now)
        assert not taken_back, f"decided, and taken back: {self.decided}"

    def routed(self) -> dict[str, int]:
        """Weight by revision, as the live objects say."""
        if any(self.others.values()):
            return self._routed_otherwise()
        if NAME in self.routes:
            main = self._rules()[-1]
            return {_revision_in(b): b["weight"] for b in main["backendRefs"]}
        if NAME not in self.services:
            return {}
        selector = json.loads(self.services[NAME].spec)["selector"]
        if REVISION_LABEL in selector:
            return {selector[REVISION_LABEL]: 100}
        if self.edited and selector != {MODEL_LABEL: NAME}:
            return {}
        assert selector == {MODEL_LABEL: NAME}
        parts = (self.status.stable, self.status.canary)
        return {part.revision: part.weight for part in parts if part and part.weight}

    def _routed_otherwise(self) -> dict[str, int]:
        """By the routes of other makers; what a header or a mirror alone names comes with 0."""
        shares = read_shares(self.others)
        ours = {name: weight for name, weight in shares.items() if name.startswith(f"{NAME}-")}
        return {name.removeprefix(f"{NAME}-"): weight for name, weight in ours.items()}

    def _rules(self) -> list[dict[str, Any]]:
        """The rules of the route: those for headers first, the main one last; not a stranger's."""
        return _read_rules(self.routes[NAME].spec) if NAME in self.routes else []

    def mirrored(self) -> dict[str, int]:
        """By revision, the percentage of requests that it gets copies of."""
        parts = (part for rule in self._rules() for part in rule.get("filters") or ())
        mirrors = [part["requestMirror"] for part in parts if part["type"] == "RequestMirror"]
        return {_revision_in(m["backendRef"]): m.get("percent", 100) for m in mirrors}

    def led_by_header(self) -> set[str]:
        """The revisions to which requests with certain headers go."""
        return {_revision_in(b) for rule in self._rules()[:-1] for b in rule["backendRefs"]}

    def demands(self) -> dict[str, int]:
        """By revision that a live rule names, the percentage of requests or copies that it gets.

        Requests with a header may be few: they count as one percent.
        """
        routed, exact = self.routed(), not any(self.others.values())
        named = {revision: max(weight, 1) for revision, weight in routed.items()}
        demands = {r: weight for r, weight in named.items() if routed[r] or not exact}
        for revision, percent in self.mirrored().items():
            demands[revision] = max(demands.get(revision, 0), percent)
        for revision in self.led_by_header():
            demands[revision] = max(demands.get(revision, 0), 1)
        return demands

    def size(self) -> int:
        """Pods that are wanted; without a spec of any use, what stable has."""
        stable = self.status.stable
        if self.spec is not None:
            return self.spec.replicas
        return stable.replicas if stable else 1

    def needed(self, demand: int) -> int:
        """Pods that so many percent need, in this rollout.

        Where there is no place one fewer, and a percent of rounding is allowed for.
        """
        size = self.status.rollout.peak_replicas if self.status.rollout else 0
        if self.room is None or demand == 0:
            return needed_replicas(demand, size)
        return max(1, needed_replicas(demand - 1, size) - 1)

    # What tests ask

    @property
    def status(self) -> Status:
        if self._parsed is None or self._parsed[0] is not self.status_raw:
            self._parsed = (self.status_raw, parse(Status, self.status_raw))
        return self._parsed[1]

    @property
    def state(self) -> str:
        rollout = self.status.rollout
        return rollout.state if rollout else ""

    @property
    def stable(self) -> str:
        return self.status.stable.version if self.status.stable else ""

    @property
    def canary(self) -> str:
        return self.status.canary.version if self.status.canary else ""

    @property
    def canary_weight(self) -> int:
        return self.status.canary.weight if self.status.canary else 0

    def condition(self, kind: str) -> tuple[str, str]:
        found = next(c for c in self.status.conditions if c.type == kind)
        return found.status, found.reason

    def version_of(self, revision: str) -> str:
        return next((r.version for r in self.revisions.values() if r.revision == revision), "")

    def revision(self, version: str) -> str:
        return next(r.revision for r in self.revisions.values() if r.version == version)

    def replicas(self, version: str) -> int:
        revision = self.revision(version)
        return next(d.replicas for d in self.deployments.values() if d.revision == revision)


def _decisions(status: Status) -> tuple[object, ...]:
    """What a status decides, without when."""
    rollout = status.rollout
    parts = (status.stable, status.canary, status.previous)
    return (
        *((p.revision, p.weight, p.mirror, p.headers, p.replicas) for p in parts if p),
        rollout and (rollout.state, rollout.step, rollout.ending, rollout.emergency),
    )


def _revision_in(backend: dict[str, Any]) -> str:
    return str(backend["name"]).removeprefix(f"{NAME}-")


@lru_cache(maxsize=256)
def _read_rules(spec: bytes) -> list[dict[str, Any]]:
    rules = list(json.loads(spec)["rules"])
    return [rule for rule in rules if all(_is_ours(b) for b in rule["backendRefs"])]


def _is_ours(backend: dict[str, Any]) -> bool:
    return str(backend["name"]).startswith(f"{NAME}-")


def _strip_weights(part: Any) -> Any:
    """The same without whom it leads to, and how much."""
    if isinstance(part, dict):
        led_to = ("backendRefs", "services", "weighted", "route", "filters", "mirror")
        return {key: _strip_weights(value) for key, value in part.items() if key not in led_to}
    return [_strip_weights(item) for item in part] if isinstance(part, list) else part


def _is_scale(write: Apply) -> bool:
    return set(write.body["spec"]) == {"replicas"}


def serving(version: str = "1", **options: Any) -> World:
    """A world in which a first version serves."""
    world = World(make_spec(version, **options))
    world.run_until("Idle")
    world.settle()
    return world
