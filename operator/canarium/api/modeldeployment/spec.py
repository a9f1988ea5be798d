"""The ModelDeployment: a model, its server and pods, and how it is served and rolled out."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar

from pydantic import Field

from canarium.api.metrics import BUILT_IN, Metric
from canarium.api.modeldeployment.containers import Server
from canarium.api.modeldeployment.notifications import Notification
from canarium.api.modeldeployment.pods import Pod, mounted_in
from canarium.api.modeldeployment.rollout import Rollout
from canarium.api.modeldeployment.scaling import (
    RESOURCE_TYPES,
    SERVED_TYPES,
    Scaling,
    ScalingMetric,
    is_utilization,
)
from canarium.api.modeldeployment.traffic import Traffic
from canarium.api.rules import Model, Rule, keyed
from canarium.api.scalars import LabelValue
from canarium.queries.profiles import GRPC_PROFILES, PROFILES, find_profile
from canarium.routing.gateway_counters import name_gateways

DEFAULT_REPLICAS = 1

NAME_PATTERN = "[a-z]([-a-z0-9]{0,50}[a-z0-9])?"
NAME_RULE = Rule(
    cel=f"self.metadata.name.matches(r'^{NAME_PATTERN}$')",
    message="metadata.name must begin with a letter and hold at most 52 lower-case letters, digits"
    " and dashes, the last no dash: a revision's name adds 11 more",
    holds=lambda name: re.fullmatch(NAME_PATTERN, name) is not None,
)


class ModelInfo(Model):
    """What is served."""

    name: LabelValue | None = None
    "Name of the model; metadata.name when left out."
    version: LabelValue | None = None
    "Free label, shown in columns, metrics and events; the image's tag when left out."


_COUNTED_BY_PODS = (
    f"metric.name in [{', '.join(repr(name) for name in BUILT_IN)}]"
    " && (!has(metric.source) || metric.source == 'Pods')"
)


def _cannot_tell(profile: str, metrics: str, matches: str, words: str) -> Rule:
    """The rule for a server that doesn't count what a metric of this kind goes by."""
    return Rule(
        cel="!has(self.rollout) || !has(self.rollout.analysis) || !has(self.server.metrics)"
        f" || !has(self.server.metrics.profile) || self.server.metrics.profile != '{profile}'"
        f" || !self.rollout.analysis.metrics.exists(metric, {matches} && {_COUNTED_BY_PODS})",
        message=f"profile {profile}: {words}; take source Gateway, or a metric of your own",
        holds=lambda spec: (
            spec.rollout is None
            or spec.rollout.analysis is None
            or spec.server.metrics is None
            or spec.server.metrics.profile != profile
            or not any(
                metric.counted_by_pods and metric.name.startswith(metrics)
                for metric in spec.rollout.analysis.metrics
            )
        ),
        at="server.metrics",
    )


def _by_grpc(profiles: tuple[str, ...]) -> str:
    """The beginning of a rule, in CEL, about servers of these profiles that are called by gRPC."""
    return (
        "!has(self.traffic) || !has(self.traffic.protocol) || self.traffic.protocol != 'GRPC'"
        " || !has(self.server.metrics) || !has(self.server.metrics.profile)"
        f" || !(self.server.metrics.profile in [{', '.join(map(repr, profiles))}])"
    )


def _is_by_grpc(spec: DeploymentSpec, profiles: tuple[str, ...]) -> bool:
    called = spec.traffic is not None and spec.traffic.protocol == "GRPC"
    return called and _profile_of(spec) in profiles


_COUNT_NO_CALLS = tuple(name for name in PROFILES if find_profile(name, "GRPC") is None)
"Profiles of servers that have no counter of gRPC calls."
_TELL_CALLS = name_gateways("GRPC")
_TELL_NO_FAILED_CALLS = (
    *(
        name
        for name, profile in GRPC_PROFILES.items()
        if PROFILES[name].counts_errors and not profile.counts_errors
    ),
    *_COUNT_NO_CALLS,
)
"Those whose counters tell no gRPC call that failed, and tell failed requests by HTTP."

_SERVED = ", ".join(f"'{name}'" for name in SERVED_TYPES)
_UNSCALED = "!has(self.scaling) || !has(self.scaling.metrics)"


def _percent_needs_a_request(kind: str, resource: str) -> Rule:
    """The rule for targets in percent of something that has to be there."""
    asked = " || ".join(
        f"(has(self.server.resources.{part}) && '{resource}' in self.server.resources.{part})"
        for part in ("requests", "limits")
    )
    return Rule(
        cel=f"{_UNSCALED} || (has(self.server.resources) && ({asked}))"
        f" || !self.scaling.metrics.exists(metric, metric.type == '{kind}'"
        " && metric.target.endsWith('%'))",
        message=f"a target of {kind} in percent is a share of what is requested: add"
        f" server.resources.requests.{resource}, or write the target as a quantity",
        holds=lambda spec: (
            resource in spec.server.requested
            or not any(
                metric.type == kind and is_utilization(metric)
                for metric in _scaling_metrics_of(spec)
            )
        ),
        at="server.resources",
    )


def _scaling_metrics_of(spec: DeploymentSpec) -> list[ScalingMetric]:
    return (spec.scaling.metrics if spec.scaling else None) or []


def _counted_types(spec: DeploymentSpec) -> set[str]:
    """The types of metrics to scale by that the pods themselves have to count."""
    return {metric.type for metric in _scaling_metrics_of(spec) if metric.type in SERVED_TYPES}


def _profile_of(spec: DeploymentSpec) -> str:
    return (spec.server.metrics and spec.server.metrics.profile) or ""


def _metrics_of(spec: DeploymentSpec) -> list[Metric]:
    analysis = spec.rollout.analysis if spec.rollout else None
    return analysis.metrics if analysis else []


class DeploymentSpec(Model):
    """What is wanted."""

    rules: ClassVar = (
        _cannot_tell(
            "KServe",
            "error-rate",
            "metric.name == 'error-rate'",
            "KServe's Python servers count no errors",
        ),
        _cannot_tell(
            "TorchServe",
            "latency-p",
            "metric.name.startsWith('latency-p')",
            "TorchServe has no histogram of latencies",
        ),
        Rule(
            cel=f"{_by_grpc(_TELL_NO_FAILED_CALLS)}"
            " || !has(self.rollout) || !has(self.rollout.analysis)"
            " || !self.rollout.analysis.metrics.exists(metric, metric.name == 'error-rate'"
            f" && {_COUNTED_BY_PODS})",
            message=f"profiles {', '.join(_TELL_NO_FAILED_CALLS)} tell no gRPC call that failed:"
            f" judge error-rate by source Gateway on {_TELL_CALLS}, or by a metric of your own",
            holds=lambda spec: (
                not _is_by_grpc(spec, _TELL_NO_FAILED_CALLS)
                or not any(
                    metric.counted_by_pods and metric.name == "error-rate"
                    for metric in _metrics_of(spec)
                )
            ),
            at="server.metrics",
        ),
        Rule(
            cel=f"{_by_grpc(_COUNT_NO_CALLS)}"
            " || !has(self.rollout) || !has(self.rollout.analysis)"
            " || !self.rollout.analysis.metrics.exists(metric,"
            f" metric.name.startsWith('latency-p') && {_COUNTED_BY_PODS})",
            message=f"profiles {', '.join(_COUNT_NO_CALLS)} count no gRPC calls: judge latency by"
            f" source Gateway on {_TELL_CALLS}, or by a metric of your own",
            holds=lambda spec: (
                not _is_by_grpc(spec, _COUNT_NO_CALLS)
                or not any(
                    metric.counted_by_pods and metric.name.startswith("latency-p")
                    for metric in _metrics_of(spec)
                )
            ),
            at="server.metrics",
        ),
        Rule(
            cel=f"{_by_grpc(_COUNT_NO_CALLS)} || {_UNSCALED}"
            f" || !self.scaling.metrics.exists(metric, metric.type in [{_SERVED}])",
            message=f"profiles {', '.join(_COUNT_NO_CALLS)} count no gRPC calls: scale by type"
            " External, with a query",
            holds=lambda spec: not _is_by_grpc(spec, _COUNT_NO_CALLS) or not _counted_types(spec),
            at="server.metrics",
        ),
        Rule(
            cel="!has(self.rollout) || !has(self.rollout.analysis) || has(self.server.metrics)"
            f" || !self.rollout.analysis.metrics.exists(metric, {_COUNTED_BY_PODS})",
            message="rollout.analysis needs the pods' own counters: add server.metrics with"
            " port, path and profile",
            holds=lambda spec: (
                spec.rollout is None
                or spec.rollout.analysis is None
                or spec.server.metrics is not None
                or not any(metric.counted_by_pods for metric in spec.rollout.analysis.metrics)
            ),
            at="server.metrics",
        ),
        Rule(
            cel="!has(self.traffic) || !has(self.traffic.protocol)"
            " || self.traffic.protocol != 'GRPC' || has(self.server.grpcPort)",
            message="traffic.protocol GRPC needs a port to lead to: add server.grpcPort",
            holds=lambda spec: (
                spec.traffic is None
                or spec.traffic.protocol != "GRPC"
                or spec.server.grpc_port is not None
            ),
            at="server.grpcPort",
        ),
        Rule(
            cel="!has(self.server.volumeMounts) || self.server.volumeMounts.all(mount,"
            " has(self.pod) && has(self.pod.volumes)"
            " && self.pod.volumes.exists(volume, volume.name == mount.name))",
            message="every volumeMount needs a volume of its name in spec.pod.volumes",
            holds=lambda spec: mounted_in(spec.pod, spec.server.volume_mounts),
            at="server.volumeMounts",
        ),
        Rule(
            cel="!has(self.rollout) || !has(self.rollout.analysis)"
            " || self.rollout.analysis.metrics.all(metric, !has(metric.job)"
            " || !has(metric.job.volumeMounts) || metric.job.volumeMounts.all(mount,"
            " has(self.pod) && has(self.pod.volumes)"
            " && self.pod.volumes.exists(volume, volume.name == mount.name)))",
            message="every volumeMount of a job needs a volume of its name in spec.pod.volumes",
            holds=lambda spec: all(
                metric.job is None or mounted_in(spec.pod, metric.job.volume_mounts)
                for metric in _metrics_of(spec)
            ),
            at="rollout.analysis",
        ),
        *(
            _percent_needs_a_request(kind, resource)
            for kind, resource in zip(RESOURCE_TYPES, ("cpu", "memory"), strict=True)
        ),
        Rule(
            cel=f"{_UNSCALED} || has(self.server.metrics)"
            f" || !self.scaling.metrics.exists(metric, metric.type in [{_SERVED}])",
            message="scaling by RequestsPerSecond and Concurrency needs the pods' own counters: add"
            " server.metrics with port, path and profile",
            holds=lambda spec: spec.server.metrics is not None or not _counted_types(spec),
            at="server.metrics",
        ),
        Rule(
            cel=f"{_UNSCALED} || !has(self.server.metrics) || !has(self.server.metrics.profile)"
            " || !self.server.metrics.profile.matches('^[a-z]')"
            f" || !self.scaling.metrics.exists(metric, metric.type in [{_SERVED}])",
            message="scaling by RequestsPerSecond and Concurrency knows no profiles of your own:"
            " write type External, with a query",
            holds=lambda spec: not _profile_of(spec)[:1].islower() or not _counted_types(spec),
            at="server.metrics",
        ),
        Rule(
            cel=f"{_UNSCALED} || !has(self.server.metrics) || !has(self.server.metrics.profile)"
            " || self.server.metrics.profile != 'TorchServe'"
            " || !self.scaling.metrics.exists(metric, metric.type == 'Concurrency')",
            message="profile TorchServe: TorchServe has no histogram of latencies; scale by"
            " RequestsPerSecond",
            holds=lambda spec: (
                _profile_of(spec) != "TorchServe" or "Concurrency" not in _counted_types(spec)
            ),
            at="server.metrics",
        ),
    )

    model: ModelInfo | None = None
    "What is served; optional when the image carries the model."
    server: Server
    "The model server's container. A change to model, server or pod makes a new revision."
    pod: Pod | None = None
    "The pod around the server."
    scaling: Annotated[
        # Stored when left out, so that `kubectl scale` finds its number.
        Scaling | None, Field(json_schema_extra={"default": {"replicas": DEFAULT_REPLICAS}})
    ] = None
    "How many pods serve; 1 when left out."
    traffic: Traffic | None = None
    "How requests reach the model; left out, through a Service in the cluster."
    rollout: Rollout | None = None
    "How new versions are rolled out; left out, to 100 as soon as they are ready."
    notifications: Annotated[list[Notification], Field(max_length=5), keyed("name")] | None = None
    "Who is told how rollouts go; nobody when left out."
