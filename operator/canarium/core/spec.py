"""What a person wants, parsed once at the edge: numbers with their unit in the name, no strings.

`canarium.api` makes these from YAML; everything below the edge sees only these.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from canarium.core.receivers import Receiver
from canarium.judge.metrics import Metric

RouterName: TypeAlias = str
"Auto, or the name of one in `canarium.routing`, which the API checks."
EngineName = Literal["Auto", "HPA", "KEDA", "None"]
ScalingType = Literal["CPU", "Memory", "Concurrency", "RequestsPerSecond", "GPU", "External"]
Protocol = Literal["HTTP", "GRPC"]
ParentKind = Literal["Gateway", "ListenerSet", "Service"]

GATEWAY_GROUP = "gateway.networking.k8s.io"

EXPERIMENT_NAME = "experiment"
"The name of the step that an experiment is; it follows the last one by itself."

CLOSING_NAME = "full"
"The name of the closing step, to 100 but for a holdback, which follows by itself."


@dataclass(frozen=True, slots=True)
class ScalingMetric:
    """What pods are counted by. The target is what one pod should have on average.

    `utilization` is in percent of what the server's container requests (CPU, Memory), 0 where
    `average` is the target: a quantity as Kubernetes writes it, in cores, bytes, requests under
    way, requests a second, percent of a GPU, or whatever `query` (PromQL with placeholders, of
    External) counts over all pods of one revision.
    """

    name: str
    type: ScalingType
    utilization: int = 0
    average: str = ""
    query: str = ""


@dataclass(frozen=True, slots=True)
class Scaling:
    """Between how many pods an autoscaler may choose, for each revision by its own load.

    `max_replicas` is 0 where the size is fixed. `behavior` is HPA v2's, as canonical JSON, "" for
    Kubernetes' own. After `idle_seconds` without load a model may go to zero pods, if
    `min_replicas` is 0. `prometheus_url` is "" for the operator's own. `max_unavailable` is how
    many of all the model's pods a drain may take at a time: a number, or a share in percent.
    """

    min_replicas: int = 1
    max_replicas: int = 0
    metrics: tuple[ScalingMetric, ...] = ()
    behavior: str = ""
    engine: EngineName = "Auto"
    idle_seconds: float = 300.0
    prometheus_url: str = ""
    max_unavailable: str = "10%"

    @property
    def is_automatic(self) -> bool:
        """Whether somebody else than the spec says how many pods there are."""
        return self.max_replicas > 0


@dataclass(frozen=True, slots=True)
class ParentRef:
    """What the route attaches to (as in Gateway API): usually a Gateway."""

    name: str
    namespace: str
    section_name: str | None = None
    port: int | None = None
    kind: ParentKind = "Gateway"

    @property
    def group(self) -> str:
        """The API group of its kind; Services are in the core group, which has no name."""
        return "" if self.kind == "Service" else GATEWAY_GROUP


@dataclass(frozen=True, slots=True)
class PathMatch:
    """A path that the route answers; `type` is PathPrefix or Exact."""

    type: str = "PathPrefix"
    value: str = "/"


@dataclass(frozen=True, slots=True)
class Traffic:
    """How requests reach the model. Without parent references there is only a Service."""

    router: RouterName = "Auto"
    protocol: Protocol = "HTTP"
    parent_refs: tuple[ParentRef, ...] = ()
    hostnames: tuple[str, ...] = ()
    paths: tuple[PathMatch, ...] = (PathMatch(),)
    request_timeout: str | None = None

    @property
    def is_outward(self) -> bool:
        """Whether host names or paths are asked for, which a Service alone cannot serve."""
        return bool(self.hostnames) or self.paths != (PathMatch(),)


@dataclass(frozen=True, slots=True)
class HeaderMatch:
    """A request header by which requests are led to the canary; `value` a regex or a text."""

    name: str
    value: str
    type: Literal["Exact", "RegularExpression"] = "Exact"


@dataclass(frozen=True, slots=True)
class Sticky:
    """A cookie by which whoever was led to a revision once comes to it again, for so long."""

    cookie: str
    seconds: int


@dataclass(frozen=True, slots=True)
class Step:
    """One stage of a rollout.

    `weight` is the canary's share in percent, 0 to 100: a step that says none has that of the
    step before. `mirror` is the percentage of stable's requests that the canary gets a copy of,
    and requests with all of `headers` go to the canary, both in this step only, as does `sticky`,
    by which the weight shares people instead of requests. `replicas` or `replicas_percent` (of
    stable's size) is how many pods the canary has at least; 0 for as many as its traffic needs.
    """

    name: str
    weight: int
    hold_seconds: float = 0.0
    approval: bool = False
    mirror: int = 0
    headers: tuple[HeaderMatch, ...] = ()
    replicas: int = 0
    replicas_percent: int = 0
    sticky: Sticky | None = None


@dataclass(frozen=True, slots=True)
class ExperimentSpec:
    """Two revisions beside each other, until one of them is better by a metric that counts.

    The canary gets `weight` percent of the people, who are told apart by the cookie, or of the
    requests, where there is none. With `headers` the front end says who gets it, and `weight` is
    what pods are reckoned from. Nothing is decided before `min_seconds`; at `max_seconds` it ends.
    """

    metric: str
    weight: int = 50
    cookie: str = ""
    headers: tuple[HeaderMatch, ...] = ()
    min_seconds: float = 0.0
    max_seconds: float = 336 * 3600.0

    def make_step(self, weight_before: int) -> Step:
        """The step that it is, after one in which the canary has `weight_before` percent."""
        return Step(
            name=EXPERIMENT_NAME,
            weight=weight_before if self.headers else self.weight,
            hold_seconds=self.min_seconds,
            headers=self.headers,
            replicas_percent=self.weight if self.headers else 0,
            sticky=Sticky(self.cookie, int(self.max_seconds)) if self.cookie else None,
        )


def make_closing_step(holdback: int = 0) -> Step:
    """The step after the last one: everything, but for the percentage that is held back.

    All pods are there even so: callers in the cluster reach the canary alone from then on.
    """
    if not holdback:
        return Step(name=CLOSING_NAME, weight=100)
    return Step(name=CLOSING_NAME, weight=100 - holdback, replicas_percent=100)


class Query:
    """What is asked of a source: one figure, or counters of bad (or good) and all.

    A source adds how it says so, with a type of its own (`canarium.metrics.sources`). `secret`
    names a Secret, "" for none. No fields, only what all have: the order of a type's own fields is
    in the key that evidence is stored under.
    """

    __slots__ = ()
    bad: str
    good: str
    total: str
    secret: str
    timeout_seconds: float

    @property
    def texts(self) -> tuple[str, ...]:
        """Its parts in PromQL."""
        return ()


@dataclass(frozen=True, slots=True)
class PrometheusQuery(Query):
    """PromQL with placeholders; `address` is "" for the operator's own setting."""

    query: str = ""
    bad: str = ""
    good: str = ""
    total: str = ""
    address: str = ""
    secret: str = ""
    timeout_seconds: float = 5.0

    @property
    def texts(self) -> tuple[str, ...]:
        """What may hold placeholders."""
        return tuple(text for text in (self.query, self.bad, self.good, self.total) if text)


@dataclass(frozen=True, slots=True)
class WebQuery(Query):
    """JSON to get at `url`, and JSONPaths: `value` is that of one figure."""

    url: str
    value: str = ""
    bad: str = ""
    good: str = ""
    total: str = ""
    secret: str = ""
    timeout_seconds: float = 5.0


TemplateKind = Literal["MetricTemplate", "ClusterMetricTemplate"]
ArgumentType = Literal["String", "Number", "Duration"]


@dataclass(frozen=True, slots=True)
class ArgumentSpec:
    """An argument of a template; without a `default` every metric has to say what it is."""

    name: str
    type: ArgumentType = "String"
    default: str | None = None


@dataclass(frozen=True, slots=True)
class TemplateSpec:
    """A query that teams share."""

    query: Query
    arguments: tuple[ArgumentSpec, ...] = ()
    higher_is_better: bool = False
    interval_seconds: float | None = None
    unit: str = ""


@dataclass(frozen=True, slots=True)
class TemplateRef:
    """Which template; one of the ModelDeployment's own namespace, or one of the cluster's."""

    name: str
    kind: TemplateKind = "MetricTemplate"


@dataclass(frozen=True, slots=True)
class CustomMetric:
    """A metric that is asked for, by a query of its own or a template's.

    Bounds are numbers as they were written: of what, is known when the template is.
    `higher_is_better` and `interval_seconds` are None for the template's.
    """

    name: str
    query: Query | TemplateRef
    arguments: tuple[tuple[str, str], ...] = ()
    max: float | None = None
    min: float | None = None
    max_increase: float | None = None
    max_ratio: float | None = None
    min_ratio: float | None = None
    rank_sum: bool = False
    higher_is_better: bool | None = None
    failure_limit: int = 0
    consecutive_error_limit: int = 4
    interval_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class JobSpec:
    """A metric that is a Job, whose success is the verdict.

    `container` is what was written of its container, as canonical JSON.
    """

    name: str
    container: str
    service_account: str = ""
    timeout_seconds: float = 600.0


@dataclass(frozen=True, slots=True)
class AnalysisSpec:
    """How a canary is judged while a step holds: by what servers count, what is asked for, Jobs.

    `gateway` is the metrics endpoint of the gateway, for metrics whose source it is. Secrets are
    names, "" for none.
    """

    metrics: tuple[Metric, ...] = ()
    custom: tuple[CustomMetric, ...] = ()
    jobs: tuple[JobSpec, ...] = ()
    interval_seconds: float = 1.0
    initial_delay_seconds: float = 0.0
    min_requests: int = 100
    on_no_data: Literal["Hold", "Rollback"] = "Hold"
    decide: Literal["HoldEnd", "Early"] = "HoldEnd"
    traffic_share: Literal["Check", "Ignore"] = "Check"
    gateway: str = ""
    gateway_secret: str = ""
    pods_secret: str = ""


@dataclass(frozen=True, slots=True)
class RolloutSpec:
    """Steps, what may follow them, analysis, guard.

    `raw` is what the person wrote for all of these; it is what gets copied into the ModelRevision
    when a rollout starts.
    """

    steps: tuple[Step, ...] = ()
    experiment: ExperimentSpec | None = None
    analysis: AnalysisSpec | None = None
    progress_deadline_seconds: float = 600.0
    emergency_seconds: float = 10.0
    "How long stable must be without a ready pod before that is an emergency."
    guard_seconds: float = 900.0
    capacity: Literal["Surge", "InPlace"] = "Surge"
    holdback: int = 0
    "Percentage left on the previous revision in the guard, to go on comparing with."
    paused: bool = False
    revision_history_limit: int = 10
    strategy: str = field(default="", compare=False)
    "The name that the steps were asked for by, if they were."
    defaulted: tuple[str, ...] = field(default=(), compare=False)
    "The fields, as in `raw`, that the object left out and that defaults of the cluster gave it."
    unfit: tuple[str, ...] = field(default=(), compare=False)
    "Defaults of the cluster that don't fit the object, each with the reason."
    raw: dict[str, Any] = field(default_factory=dict, compare=False)

    @property
    def all_steps(self) -> tuple[Step, ...]:
        """The steps with those that follow by themselves: an experiment, and the closing one."""
        before = self.steps[-1].weight if self.steps else 0
        tried = (self.experiment.make_step(before),) if self.experiment else ()
        return (*self.steps, *tried, make_closing_step(self.holdback))


@dataclass(frozen=True, slots=True)
class MetricsEndpoint:
    """Where a pod serves its metrics, and which profile maps their names."""

    port: int
    path: str
    profile: str


@dataclass(frozen=True, slots=True)
class Spec:
    """A whole ModelDeployment spec.

    `source` is the {model, server, pod} part as the person wrote it (validated, nulls dropped):
    what a revision is made of. `canonical` is what today's normaliser (`core.normalise`) makes of
    it, as canonical JSON: two specs with the same one name the same revision. `replicas` is the
    fixed size, or what a revision that is autoscaled begins with: the smallest, but at least one.
    """

    source: dict[str, Any]
    canonical: str
    model_name: str
    version: str
    image: str
    port: int
    replicas: int
    traffic: Traffic
    rollout: RolloutSpec
    metrics: MetricsEndpoint | None = None
    scaling: Scaling = Scaling()
    receivers: tuple[Receiver, ...] = ()
    "Who is told how rollouts go."
