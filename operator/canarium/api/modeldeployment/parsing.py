"""From the YAML that people write to the values that the core works with.

Everything that can be wrong is collected before anything is refused, so that people mend a spec
once. Numbers are parsed here and nowhere below.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from pydantic import ValidationError

from canarium.api.durations import parse_duration, parse_factor, parse_figure, parse_ratio
from canarium.api.jobs import Job as JobField
from canarium.api.metrics import BUILT_IN, MetricTemplateSpec, SecretRef
from canarium.api.metrics import Metric as MetricField
from canarium.api.metrics import PrometheusQuery as PrometheusField
from canarium.api.metrics import WebQuery as WebField
from canarium.api.modeldeployment.defaults import NO_DEFAULTS, Defaults, WithDefaults, fill
from canarium.api.modeldeployment.notifications import make_receiver
from canarium.api.modeldeployment.probe_ports import check_ports
from canarium.api.modeldeployment.rollout import Analysis, CopiedTerms, Experiment, Rollout, Terms
from canarium.api.modeldeployment.scaling import RESOURCE_TYPES, is_utilization
from canarium.api.modeldeployment.scaling import Scaling as ScalingField
from canarium.api.modeldeployment.scaling import ScalingMetric as ScalingMetricField
from canarium.api.modeldeployment.spec import DEFAULT_REPLICAS, NAME_RULE, DeploymentSpec
from canarium.api.modeldeployment.steps import HeaderMatch as HeaderField
from canarium.api.modeldeployment.steps import Step as StepField
from canarium.api.modeldeployment.strategies import expand
from canarium.api.modeldeployment.traffic import ParentRef as ParentRefField
from canarium.api.modeldeployment.traffic import PathMatch as PathField
from canarium.api.modeldeployment.traffic import Traffic as TrafficField
from canarium.api.nulls import drop_nulls
from canarium.api.problems import explain
from canarium.api.rules import Model, find_problems
from canarium.core.normalise import DEFAULT_PORT, canonical_json, metrics_endpoint, normalise_source
from canarium.core.quantities import canonical_quantity
from canarium.core.spec import (
    AnalysisSpec,
    ArgumentSpec,
    CustomMetric,
    ExperimentSpec,
    HeaderMatch,
    JobSpec,
    MetricsEndpoint,
    ParentRef,
    PathMatch,
    PrometheusQuery,
    Query,
    RolloutSpec,
    Scaling,
    ScalingMetric,
    Spec,
    Step,
    TemplateRef,
    TemplateSpec,
    Traffic,
    WebQuery,
)
from canarium.errors import Problem, SpecError
from canarium.judge.metrics import Metric
from canarium.queries.scaling import find_problem

M = TypeVar("M", bound=Model)
Json = Mapping[str, Any]

SOURCE_FIELDS = ("model", "server", "pod")

COPIED_FIELDS = (
    "steps",
    "experiment",
    "analysis",
    "progressDeadline",
    "emergencyAfter",
    "guard",
    "capacity",
)


def parse_deployment(body: Json, defaults: Defaults = NO_DEFAULTS) -> Spec:
    """Read a whole ModelDeployment (metadata and spec, as JSON decodes it).

    What it leaves out of spec.rollout is taken from the defaults where these fit it. Raises
    SpecError with every problem that was found, each with its field's path and a cure.
    """
    metadata = body.get("metadata")
    metadata = metadata if isinstance(metadata, Mapping) else {}
    written, problems = drop_nulls(body.get("spec")), _check_name(metadata.get("name"))
    spec = _validate(DeploymentSpec, written, "spec", problems)
    if wrong := (*_check_queries(spec.scaling), *check_ports(spec.server, spec.pod)):
        raise SpecError(*wrong)
    filled = fill(written, defaults)
    if filled.given:
        spec = DeploymentSpec.model_validate(filled.spec)
    return _make_spec(spec, filled, str(metadata["name"]), str(metadata.get("namespace", "")))


def parse_traffic(body: Json) -> Traffic:
    """Read spec.traffic alone, of a ModelDeployment of which another part may be wrong.

    Raises SpecError as `parse_deployment` does.
    """
    spec, metadata = drop_nulls(body.get("spec")), body.get("metadata")
    written = spec.get("traffic") if isinstance(spec, Mapping) else None
    namespace = metadata.get("namespace") if isinstance(metadata, Mapping) else None
    traffic = None if written is None else _validate(TrafficField, written, "spec.traffic", [])
    return _make_traffic(traffic, str(namespace or ""))


def parse_rollout(raw: Json) -> RolloutSpec:
    """Read the copy of a rollout's terms (COPIED_FIELDS) in a ModelRevision's status.

    Raises SpecError as `parse_deployment` does, with paths from status.rollout on.
    """
    written = drop_nulls(raw)
    terms = _validate(CopiedTerms, written, "status.rollout", [])
    return _make_rollout(terms, written, tuple(terms.defaulted or ()))


def parse_template(raw: Json) -> TemplateSpec:
    """Read the spec of a MetricTemplate or ClusterMetricTemplate.

    Raises SpecError as `parse_deployment` does.
    """
    spec = _validate(MetricTemplateSpec, drop_nulls(raw), "spec", [])
    arguments = tuple(
        ArgumentSpec(**_given({"name": each.name, "type": each.type, "default": each.default}))
        for each in spec.arguments or ()
    )
    return TemplateSpec(
        query=_make_query(spec.prometheus, spec.web),
        arguments=arguments,
        higher_is_better=spec.direction == "HigherIsBetter",
        interval_seconds=_seconds(spec.interval),
        unit=spec.unit or "",
    )


def _check_name(name: Any) -> list[Problem]:
    if isinstance(name, str) and NAME_RULE.holds(name):
        return []
    return [Problem("metadata.name", NAME_RULE.message)]


def _check_queries(scaling: ScalingField | None) -> Iterator[Problem]:
    """What is wrong with queries, which CEL cannot tell."""
    for index, metric in enumerate((scaling and scaling.metrics) or ()):
        if metric.query is not None and (wrong := find_problem(metric.query)):
            yield Problem(f"spec.scaling.metrics[{index}].query", wrong)


def _validate(model: type[M], written: Any, path: str, problems: list[Problem]) -> M:
    try:
        value = model.model_validate(written)
    except ValidationError as error:
        raise SpecError(*problems, *explain(error, path, model)) from None
    problems.extend(find_problems(value, path))
    if problems:
        raise SpecError(*problems)
    return value


def _make_spec(spec: DeploymentSpec, filled: WithDefaults, name: str, namespace: str) -> Spec:
    written = filled.spec
    source = {field: written[field] for field in SOURCE_FIELDS if field in written}
    normal = normalise_source(source)
    return Spec(
        source=source,
        canonical=canonical_json(normal),
        model_name=(spec.model and spec.model.name) or name,
        version=(spec.model and spec.model.version) or image_version(spec.server.image),
        image=spec.server.image,
        port=spec.server.port or DEFAULT_PORT,
        replicas=_count_first(spec.scaling),
        traffic=_make_traffic(spec.traffic, namespace),
        rollout=replace(
            _make_rollout(spec.rollout or Rollout(), written.get("rollout", {}), filled.given),
            unfit=filled.unfit,
        ),
        metrics=_make_endpoint(normal),
        scaling=_make_scaling(spec.scaling, written.get("scaling", {})),
        receivers=tuple(make_receiver(each) for each in spec.notifications or ()),
    )


def _count_first(scaling: ScalingField | None) -> int:
    """The fixed size, or what a revision that is autoscaled begins with."""
    if scaling is None:
        return DEFAULT_REPLICAS
    if scaling.max_replicas is None:
        return DEFAULT_REPLICAS if scaling.replicas is None else scaling.replicas
    return max(1, scaling.least)


def _make_scaling(scaling: ScalingField | None, written: Json) -> Scaling:
    if scaling is None:
        return Scaling()
    budget = scaling.disruption_budget
    given = {
        "min_replicas": scaling.min_replicas,
        "max_replicas": scaling.max_replicas,
        "metrics": tuple(_make_scaling_metric(metric) for metric in scaling.metrics or ()),
        "behavior": canonical_json(written["behavior"]) if written.get("behavior") else None,
        "engine": scaling.engine,
        "idle_seconds": _seconds(scaling.idle_after),
        "prometheus_url": scaling.prometheus and scaling.prometheus.address,
        "max_unavailable": None if budget is None else str(budget.max_unavailable),
    }
    return Scaling(**_given(given))


def _make_scaling_metric(metric: ScalingMetricField) -> ScalingMetric:
    """What a pod should have: a utilization, or an average, of which KEDA wants plain numbers."""
    given: dict[str, Any] = {"query": metric.query}
    if is_utilization(metric):
        given["utilization"] = int(metric.target.removesuffix("%"))
    elif metric.type in RESOURCE_TYPES:
        given["average"] = canonical_quantity(metric.target)
    else:
        given["average"] = metric.target.removesuffix("%")
    return ScalingMetric(metric.name, metric.type, **_given(given))


def image_version(image: str) -> str:
    """What to call a version that has no name: the image's tag, or how its digest begins."""
    name, _, digest = image.partition("@")
    if digest:
        return digest.rpartition(":")[2][:12]
    return name.rpartition("/")[2].partition(":")[2]


def _make_endpoint(normal: Json) -> MetricsEndpoint | None:
    found = metrics_endpoint(normal)
    return None if found is None else MetricsEndpoint(**found)


def _make_traffic(traffic: TrafficField | None, namespace: str) -> Traffic:
    if traffic is None:
        return Traffic()
    given: dict[str, Any] = {
        "router": traffic.router,
        "protocol": traffic.protocol,
        "paths": tuple(_make_path(path) for path in traffic.paths or ()),
        "request_timeout": traffic.timeouts and traffic.timeouts.request,
    }
    return Traffic(
        parent_refs=tuple(_make_parent(ref, namespace) for ref in traffic.parent_refs or ()),
        hostnames=tuple(traffic.hostnames or ()),
        **_given(given),
    )


def _make_parent(ref: ParentRefField, namespace: str) -> ParentRef:
    return ParentRef(
        name=ref.name,
        namespace=ref.namespace or namespace,
        section_name=ref.section_name,
        port=ref.port,
        kind=ref.kind or "Gateway",
    )


def _make_path(path: PathField) -> PathMatch:
    return PathMatch(**_given({"type": path.type, "value": path.value}))


def _make_rollout(terms: Terms, written: Json, defaulted: tuple[str, ...]) -> RolloutSpec:
    steps = terms.steps or []
    if isinstance(terms, Rollout) and terms.strategy is not None:
        written = {**written, "steps": expand(terms.strategy)}
        steps = [StepField.model_validate(step) for step in written["steps"]]
    given: dict[str, Any] = {
        "steps": _make_steps(steps),
        "experiment": terms.experiment and _make_experiment(terms.experiment),
        "analysis": terms.analysis and _make_analysis(terms.analysis),
        "progress_deadline_seconds": _seconds(terms.progress_deadline),
        "emergency_seconds": _seconds(terms.emergency_after),
        "guard_seconds": _seconds(terms.guard.duration if terms.guard else None),
        "holdback": terms.guard.holdback if terms.guard else None,
        "capacity": terms.capacity,
        "defaulted": defaulted,
        "raw": _make_copy(written, defaulted),
    }
    if isinstance(terms, Rollout):
        given["paused"] = terms.paused
        given["strategy"] = terms.strategy
        given["revision_history_limit"] = terms.revision_history_limit
    return RolloutSpec(**_given(given))


def _make_copy(written: Json, defaulted: Sequence[str]) -> dict[str, Any]:
    """What a ModelRevision keeps of the terms that its rollout goes by."""
    copied = {field: written[field] for field in COPIED_FIELDS if field in written}
    return copied | ({"defaulted": list(defaulted)} if defaulted else {})


def _make_steps(steps: list[StepField]) -> tuple[Step, ...]:
    """A step that says no weight has that of the step before."""
    weight, made = 0, []
    for step in steps:
        weight = step.weight or weight
        made.append(_make_step(step, weight))
    return tuple(made)


def _make_step(step: StepField, weight: int) -> Step:
    pods = step.replicas
    return Step(
        name=step.name,
        weight=weight,
        hold_seconds=_seconds(step.hold) or 0.0,
        approval=step.approval == "Manual",
        mirror=(step.mirror.percent or 100) if step.mirror else 0,
        headers=_make_headers(step.headers),
        replicas=pods if isinstance(pods, int) else 0,
        replicas_percent=int(pods.removesuffix("%")) if isinstance(pods, str) else 0,
    )


def _make_headers(headers: Iterable[HeaderField] | None) -> tuple[HeaderMatch, ...]:
    return tuple(HeaderMatch(h.name, h.value, h.type or "Exact") for h in headers or ())


def _make_experiment(experiment: Experiment) -> ExperimentSpec:
    sticky = experiment.sticky
    given = {
        "cookie": sticky and sticky.cookie,
        "headers": _make_headers(sticky.headers) if sticky else None,
        "min_seconds": _seconds(experiment.min_duration),
        "max_seconds": _seconds(experiment.max_duration),
    }
    return ExperimentSpec(experiment.metric, experiment.share, **_given(given))


def _make_analysis(analysis: Analysis) -> AnalysisSpec:
    given = {
        "interval_seconds": _seconds(analysis.interval),
        "initial_delay_seconds": _seconds(analysis.initial_delay),
        "min_requests": analysis.min_requests,
        "on_no_data": analysis.on_no_data,
        "decide": analysis.decide,
        "traffic_share": analysis.traffic_share,
        "gateway": analysis.gateway and analysis.gateway.address,
        "gateway_secret": analysis.gateway and _secret(analysis.gateway.secret_ref),
        "pods_secret": analysis.pods and _secret(analysis.pods.secret_ref),
        "metrics": tuple(_make_metric(m) for m in analysis.metrics if m.name in BUILT_IN),
        "custom": tuple(_make_custom(m) for m in analysis.metrics if _has_figures(m)),
        "jobs": tuple(_make_job(m.name, m.job) for m in analysis.metrics if m.job),
    }
    return AnalysisSpec(**_given(given))


def _has_figures(metric: MetricField) -> bool:
    """Whether a figure is asked for; built-in ones are counted, and a job gives none."""
    return metric.name not in BUILT_IN and metric.job is None


def _make_job(name: str, job: JobField) -> JobSpec:
    """The container stays as it was written, in one canonical form."""
    around = {"service_account_name", "timeout"}
    container = job.model_dump(by_alias=True, exclude_none=True, exclude=around)
    given = {
        "service_account": job.service_account_name,
        "timeout_seconds": _seconds(job.timeout),
    }
    return JobSpec(name, canonical_json(container), **_given(given))


def _make_metric(metric: MetricField) -> Metric:
    common = {**_given({"source": metric.source}), **_compared(metric)}
    if metric.name == "error-rate":
        return Metric(metric.name, "ErrorRate", max=_ratio(metric.max), **common)
    quantile = int(metric.name.removeprefix("latency-p")) / 100
    return Metric(metric.name, "Latency", quantile=quantile, max=_seconds(metric.max), **common)


def _make_custom(metric: MetricField) -> CustomMetric:
    compared = metric.vs_stable
    given = {
        "max": _figure(metric.max),
        "min": _figure(metric.min),
        "max_increase": compared and _ratio(compared.max_increase),
        "max_ratio": compared and compared.max_ratio and parse_factor(compared.max_ratio),
        "min_ratio": compared and _ratio(compared.min_ratio),
        "rank_sum": metric.judge == "RankSum",
        "higher_is_better": metric.direction and metric.direction == "HigherIsBetter",
        "failure_limit": metric.failure_limit,
        "consecutive_error_limit": metric.consecutive_error_limit,
        "interval_seconds": _seconds(metric.interval),
        "arguments": tuple((each.name, each.value) for each in metric.arguments or ()),
    }
    return CustomMetric(metric.name, _make_reference(metric), **_given(given))


def _make_reference(metric: MetricField) -> Query | TemplateRef:
    if metric.template_ref is None:
        return _make_query(metric.prometheus, metric.web)
    reference = metric.template_ref
    return TemplateRef(reference.name, reference.kind or "MetricTemplate")


def _make_query(prometheus: PrometheusField | None, web: WebField | None) -> Query:
    given = prometheus or web
    if given is None:
        raise AssertionError("a rule asks for one of them")
    common = {
        "bad": given.bad,
        "good": given.good,
        "total": given.total,
        "secret": _secret(given.secret_ref),
        "timeout_seconds": _seconds(given.timeout),
    }
    if isinstance(given, WebField):
        return WebQuery(given.url, **_given({"value": given.value, **common}))
    return PrometheusQuery(**_given({"query": given.query, "address": given.address, **common}))


def _compared(metric: MetricField) -> dict[str, Any]:
    if metric.vs_stable is None:
        return {}
    factor = metric.vs_stable.max_ratio
    return {
        "max_increase": _ratio(metric.vs_stable.max_increase),
        "max_ratio": None if factor is None else parse_factor(factor),
    }


def _ratio(text: str | None) -> float | None:
    return None if text is None else parse_ratio(text)


def _secret(reference: SecretRef | None) -> str | None:
    return reference.name if reference else None


def _figure(text: str | None) -> float | None:
    return None if text is None else parse_figure(text)


def _seconds(text: str | None) -> float | None:
    return None if text is None else parse_duration(text)


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what nobody wrote, so that the core's own defaults hold."""
    return {name: value for name, value in values.items() if value is not None and value != ()}
