"""How many pods serve: a fixed number, or bounds between which an autoscaler chooses by metrics.

What HPA or KEDA would refuse, or do nothing with, is refused here, with the field and the cure.
"""

from __future__ import annotations

import re
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from canarium.api.metrics import Url
from canarium.api.rules import Model, Rule, keyed
from canarium.api.scalars import DnsLabel, Duration, IntOrText, Text
from canarium.core.spec import EngineName, ScalingType

RESOURCE_TYPES = ("CPU", "Memory")
SERVED_TYPES = ("RequestsPerSecond", "Concurrency")
"Counted by the pods themselves; Prometheus is asked."

_POSITIVE = r"([1-9][0-9]{0,8}(\.[0-9]{1,3})?|0\.([1-9][0-9]{0,2}|0[1-9][0-9]?|00[1-9]))"
UTILIZATION_PATTERN = "[1-9][0-9]{0,3}%"
RESOURCE_PATTERN = f"{UTILIZATION_PATTERN}|{_POSITIVE}([mkMGTP]|[KMGTP]i)?"
SHARE_PATTERN = "([1-9][0-9]?|100)%"

RESOURCE_TARGET = (
    "the target of CPU and Memory is a share of what server.resources requests, such as"
    ' "70%", or what a pod uses on average, such as "500m" or "2Gi"'
)
NUMBER_TARGET = (
    "the target of RequestsPerSecond, Concurrency and External is a number above 0 for each pod,"
    ' such as "20" or "0.5"'
)
SHARE_TARGET = 'the target of GPU is a share of each GPU, such as "80%"'


def is_utilization(metric: ScalingMetric) -> bool:
    """Whether the target is a share of what the server's container requests."""
    return metric.type in RESOURCE_TYPES and metric.target.endswith("%")


def _words(names: tuple[str, ...]) -> str:
    return "[" + ", ".join(f"'{name}'" for name in names) + "]"


def _make_target_rule(types: tuple[str, ...], pattern: str, message: str) -> Rule:
    compiled = re.compile(pattern)
    return Rule(
        cel=f"!(self.type in {_words(types)}) || self.target.matches(r'^({pattern})$')",
        message=message,
        holds=lambda metric: (
            metric.type not in types or compiled.fullmatch(metric.target) is not None
        ),
        at="target",
    )


class ScalingMetric(Model):
    """What pods are counted by: one has the target on average, and of several the most counts."""

    rules: ClassVar = (
        _make_target_rule(RESOURCE_TYPES, RESOURCE_PATTERN, RESOURCE_TARGET),
        _make_target_rule((*SERVED_TYPES, "External"), _POSITIVE, NUMBER_TARGET),
        _make_target_rule(("GPU",), SHARE_PATTERN, SHARE_TARGET),
        Rule(
            cel="self.type != 'External' || has(self.query)",
            message="External needs what to ask: add query, in PromQL",
            holds=lambda metric: metric.type != "External" or metric.query is not None,
            at="query",
        ),
        Rule(
            cel="self.type == 'External' || !has(self.query)",
            message="only External has a query: write type External, or leave query out",
            holds=lambda metric: metric.type == "External" or metric.query is None,
            at="query",
        ),
    )

    name: DnsLabel
    "Its name, shown in status."
    type: ScalingType
    """CPU and Memory of the server's container. RequestsPerSecond and Concurrency (requests under
    way) of a pod, by server.metrics. GPU: how busy a pod's GPUs are, by NVIDIA's DCGM exporter.
    External: whatever query counts. All but CPU and Memory are asked of Prometheus, by KEDA."""
    target: Annotated[str, Field(max_length=16)]
    """What a pod should have on average: of CPU and Memory "70%" of the request, or a quantity; of
    GPU "80%"; of the others a number, such as "20"."""
    query: Annotated[Text, Field(min_length=1)] | None = None
    """With External: PromQL that counts what all pods of one revision share, in a single series.
    {{namespace}}, {{model}}, {{revision}}, {{service}} (model-revision) and {{pods}} (a regular
    expression for the names of its pods, after =~) are filled in."""


class ScalingPolicy(Model):
    """How much may change within a time."""

    type: Literal["Pods", "Percent"]
    "Whether value counts pods, or percent of those that there are."
    value: Annotated[int, Field(ge=1, le=10000)]
    "How many at most."
    period_seconds: Annotated[int, Field(ge=1, le=1800)]
    "Within which time."


class ScalingRules(Model):
    """How quickly the number of pods follows in one direction."""

    stabilization_window_seconds: Annotated[int, Field(ge=0, le=3600)] | None = None
    "How far back the safest recommendation counts; up 0 and down 300 when left out."
    select_policy: Literal["Max", "Min", "Disabled"] | None = None
    "Which policy counts: that of the largest change (Max, when left out) or the smallest; or none."
    policies: Annotated[list[ScalingPolicy], Field(min_length=1, max_length=10)] | None = None
    "How much may change; up 4 pods or 100 % in 15 s and down 100 % in 15 s when left out."


class Behavior(Model):
    """How quickly the number of pods follows the metrics, as in HorizontalPodAutoscaler v2."""

    scale_up: ScalingRules | None = None
    "Towards more pods."
    scale_down: ScalingRules | None = None
    "Towards fewer."


class ScalingPrometheus(Model):
    """Where the figures come from that pods are counted by."""

    address: Url
    """Where Prometheus is, for KEDA: a Service of this namespace, or what addresses.allow of the
    chart's values lists."""


_SHARE = re.compile("(100|[1-9]?[0-9])%")


class _Unavailable(IntOrText):
    def __init__(self) -> None:
        super().__init__(
            cel="type(self) == int ? self >= 0 && self <= 10000"
            f" : self.matches(r'^({_SHARE.pattern})$')",
            message='write a number of pods such as 1, or a share such as "10%"',
        )

    def holds(self, value: int | str) -> bool:
        if isinstance(value, int):
            return 0 <= value <= 10000
        return _SHARE.fullmatch(value) is not None


class DisruptionBudget(Model):
    """How many pods may be taken away at a time, by drains of nodes and their like."""

    max_unavailable: Annotated[int | str, _Unavailable()]
    """A number, or a share of all the model's pods, rounded up; "10%" when left out. With 0 no node
    that one of them is on can be drained."""


_ONLY_AUTOMATIC = ("minReplicas", "metrics", "behavior", "engine", "idleAfter", "prometheus")
_AUTOMATIC_FIELDS = tuple(re.sub("([A-Z])", r"_\1", name).lower() for name in _ONLY_AUTOMATIC)
_LEAST = "(has(self.minReplicas) ? self.minReplicas : 1)"


class Scaling(Model):
    """How many pods serve: replicas, or maxReplicas with metrics."""

    rules: ClassVar = (
        Rule(
            # 1, which is stored where nothing was written, may be left over beside maxReplicas:
            # server-side apply has no way to take out what the manifest never had.
            cel="has(self.maxReplicas) ? !has(self.replicas) || self.replicas == 1"
            " : has(self.replicas)",
            message="set exactly one of replicas (a fixed size) and maxReplicas (autoscaling, with"
            " metrics); where your manifest has no replicas, kubectl scale --replicas=1 takes"
            " it back",
            holds=lambda scaling: (
                scaling.replicas is not None
                if scaling.max_replicas is None
                else scaling.replicas in (None, 1)
            ),
        ),
        Rule(
            cel="has(self.maxReplicas) || !("
            + " || ".join(f"has(self.{name})" for name in _ONLY_AUTOMATIC)
            + ")",
            message=f"{', '.join(_ONLY_AUTOMATIC[:-1])} and {_ONLY_AUTOMATIC[-1]} go with"
            " maxReplicas: add it, or leave them out",
            holds=lambda scaling: (
                scaling.max_replicas is not None
                or all(getattr(scaling, name) is None for name in _AUTOMATIC_FIELDS)
            ),
        ),
        Rule(
            cel="!has(self.maxReplicas) || has(self.metrics)",
            message="maxReplicas needs something to count pods by: add metrics",
            holds=lambda scaling: scaling.max_replicas is None or scaling.metrics is not None,
            at="metrics",
        ),
        Rule(
            cel=f"!has(self.maxReplicas) || {_LEAST} <= self.maxReplicas",
            message="minReplicas (1 when left out) is above maxReplicas",
            holds=lambda scaling: (
                scaling.max_replicas is None or scaling.least <= scaling.max_replicas
            ),
            at="minReplicas",
        ),
        Rule(
            cel=f"{_LEAST} > 0 || !has(self.engine) || !(self.engine in ['HPA', 'None'])",
            message="minReplicas 0 needs KEDA: write engine Auto or KEDA, or minReplicas 1",
            holds=lambda scaling: scaling.least > 0 or scaling.engine not in ("HPA", "None"),
            at="minReplicas",
        ),
        Rule(
            cel=f"{_LEAST} > 0 || !has(self.metrics)"
            " || self.metrics.exists(metric, metric.type == 'External')",
            message="minReplicas 0 needs a metric of type External: without pods nothing else tells"
            " of load, and the model would never wake",
            holds=lambda scaling: (
                scaling.least > 0
                or scaling.metrics is None
                or any(metric.type == "External" for metric in scaling.metrics)
            ),
            at="metrics",
        ),
        Rule(
            cel="!has(self.engine) || self.engine != 'HPA' || !has(self.metrics)"
            f" || self.metrics.all(metric, metric.type in {_words(RESOURCE_TYPES)})",
            message="engine HPA knows CPU and Memory alone: write engine Auto or KEDA for the"
            " other types",
            holds=lambda scaling: (
                scaling.engine != "HPA"
                or all(metric.type in RESOURCE_TYPES for metric in scaling.metrics or ())
            ),
            at="engine",
        ),
        Rule(
            cel=f"!has(self.idleAfter) || {_LEAST} == 0",
            message="idleAfter is for models that may go to zero pods: write minReplicas 0, or"
            " leave it out",
            holds=lambda scaling: scaling.idle_after is None or scaling.least == 0,
            at="idleAfter",
        ),
    )

    replicas: Annotated[int, Field(ge=0, le=10000)] | None = None
    "A fixed number of pods that serve; kubectl scale sets it too. Beside maxReplicas 1 is no size."
    min_replicas: Annotated[int, Field(ge=0, le=10000)] | None = None
    """Autoscaling: the fewest pods; 1 when left out. 0 lets a model without load go to zero pods,
    which needs KEDA and a metric of type External."""
    max_replicas: Annotated[int, Field(ge=1, le=10000)] | None = None
    "Autoscaling: the most pods. Each revision is scaled on its own, between the same bounds."
    metrics: (
        Annotated[list[ScalingMetric], Field(min_length=1, max_length=10), keyed("name")] | None
    ) = None
    "Autoscaling: what pods are counted by."
    engine: EngineName | None = None
    """Who scales. Auto (when left out): a HorizontalPodAutoscaler where CPU and Memory are all that
    is asked for, KEDA otherwise. None: nobody, at minReplicas."""
    behavior: Behavior | None = None
    "How quickly the number of pods follows; Kubernetes' own way when left out."
    idle_after: Duration | None = None
    "With minReplicas 0: how long without load until the pods go; 5m when left out."
    prometheus: ScalingPrometheus | None = None
    "Which Prometheus is asked; the operator's own setting (--prometheus-url) when left out."
    disruption_budget: DisruptionBudget | None = None
    "How many pods may be taken away at a time, by drains of nodes and their like."

    @property
    def least(self) -> int:
        """The fewest pods, where an autoscaler chooses."""
        return 1 if self.min_replicas is None else self.min_replicas
