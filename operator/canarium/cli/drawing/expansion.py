"""What a rollout comes to: its steps written out, and the pods that they take. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rich.text import Text

from canarium.api import format_duration, parse_deployment
from canarium.api.modeldeployment.defaults import NO_DEFAULTS, Defaults
from canarium.cli.drawing.status_tree import describe_extras
from canarium.cli.drawing.terminal import align
from canarium.cli.objects.status_report import tell_headers
from canarium.cli.output import flatten
from canarium.core.capacity import step_replicas
from canarium.core.names import API_VERSION
from canarium.core.normalise import list_unrequested
from canarium.core.spec import (
    CLOSING_NAME,
    EXPERIMENT_NAME,
    AnalysisSpec,
    JobSpec,
    RolloutSpec,
    Scaling,
    Step,
)
from canarium.errors import Problem, SpecError
from canarium.judge.metrics import Metric
from canarium.queries.profiles import PROFILES, find_close
from canarium.resources.autoscalers import KINDS, find_kind

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Need:
    """A step and the pods that it takes, of the canary and of stable."""

    step: str
    canary: int
    stable: int


@dataclass(frozen=True, slots=True)
class Expansion:
    """`steps` are as one would write them in spec.rollout.steps; 100 follows by itself."""

    name: str
    strategy: str
    replicas: int
    steps: tuple[Json, ...]
    pods: tuple[Need, ...]
    rollout: RolloutSpec
    scaling: Scaling
    unrequested: tuple[str, ...]
    "Which of cpu and memory the server doesn't ask for."
    profile: str = ""
    "That of the server's metrics."

    def value(self) -> Json:
        """The same for programs."""
        needs = [
            {"step": one.step, "canary": one.canary, "stable": one.stable} for one in self.pods
        ]
        return {
            "name": self.name,
            **({"strategy": self.strategy} if self.strategy else {}),
            "replicas": self.replicas,
            "steps": list(self.steps),
            "pods": needs,
            "guard": format_duration(self.rollout.guard_seconds),
            **({"scaling": self._bounds()} if self.scaling.is_automatic else {}),
            **({"unrequested": list(self.unrequested)} if self.unrequested else {}),
            **({"defaulted": list(self.rollout.defaulted)} if self.rollout.defaulted else {}),
            **({"unfit": list(self.rollout.unfit)} if self.rollout.unfit else {}),
        }

    def _bounds(self) -> Json:
        scaling = self.scaling
        bounds = {"minReplicas": scaling.min_replicas, "maxReplicas": scaling.max_replicas}
        return {"engine": name_engine(scaling), **bounds}


def make_expansion(
    manifest: Json, replicas: int | None = None, defaults: Defaults = NO_DEFAULTS
) -> Expansion:
    """Expand a manifest, at a size of stable (the spec's own if None).

    Raises SpecError with every problem of the manifest.
    """
    if manifest.get("apiVersion") != API_VERSION:
        raise SpecError(Problem("apiVersion", f"write {API_VERSION}"))
    spec = parse_deployment(manifest, defaults)
    size = max(1, spec.replicas if replicas is None else replicas)
    return Expansion(
        name=manifest["metadata"]["name"],
        strategy=spec.rollout.strategy,
        replicas=size,
        steps=tuple(spec.rollout.raw.get("steps", ())),
        pods=tuple(_need(step, size) for step in spec.rollout.all_steps),
        rollout=spec.rollout,
        scaling=spec.scaling,
        unrequested=list_unrequested(json.loads(spec.canonical)),
        profile=spec.metrics.profile if spec.metrics else "",
    )


def name_engine(scaling: Scaling) -> str:
    """Who scales by the rule of engine Auto; whether that is installed, only a cluster knows."""
    return "None" if scaling.engine == "None" else KINDS[find_kind(scaling)]


def _need(step: Step, size: int) -> Need:
    return Need(step.name, step_replicas(step, size), size)


def tell_expansion(expansion: Expansion) -> Iterator[Text]:
    """The lines that people read."""
    strategy = f", strategy {expansion.strategy}" if expansion.strategy else ""
    yield Text.assemble(
        (flatten(expansion.name), "bold"), f"{strategy}: {_pods(expansion.replicas)} stable"
    )
    header = ["", "STEP", "WEIGHT", "BESIDE", "CANARY", "ENDS"]
    steps = expansion.rollout.all_steps
    rows = [
        _cells(number, step, need)
        for number, (step, need) in enumerate(zip(steps, expansion.pods, strict=True), 1)
    ]
    yield from align(_drop_empty([header, *rows]), gap=3)
    yield from _tell_sizes(expansion)
    if expansion.rollout.capacity == "InPlace":
        yield Text("pods replace each other one by one where there is no room for both")
    yield Text(_tell_guard(expansion.rollout))
    yield from _tell_analysis(expansion.rollout.analysis)
    yield from _tell_defaults(expansion.rollout)
    if expansion.unrequested:
        missing = " and no ".join(expansion.unrequested)
        yield Text(f"the server asks for no {missing}: set server.resources.requests", "yellow")
    if expansion.profile and expansion.profile not in PROFILES:
        yield Text(_tell_profile(expansion.profile), "yellow")


def _tell_profile(name: str) -> str:
    """That a profile has to be one of the operator's own users, as only a cluster knows."""
    close = find_close(name, PROFILES)
    meant = f"did you mean {close}? Else " if close else ""
    has = f"{meant}the operator has to have one of this name"
    return f"profile {flatten(name)} is none that comes with Canarium: {has}"


def _tell_defaults(rollout: RolloutSpec) -> Iterator[Text]:
    """What the cluster's defaults gave, and what of them doesn't fit."""
    if rollout.defaulted:
        yield Text(f"from the cluster's defaults: {', '.join(rollout.defaulted)}")
    for words in rollout.unfit:
        yield Text(f"a default of the cluster doesn't fit and is left out: {words}", "yellow")


def _tell_sizes(expansion: Expansion) -> Iterator[Text]:
    """How many pods there are at a time; with an autoscaler the steps' are the fewest."""
    most = max(need.canary + need.stable for need in expansion.pods)
    scaling, engine = expansion.scaling, name_engine(expansion.scaling)
    if not scaling.is_automatic or engine == "None":
        yield Text(f"at most {_pods(most)} at a time")
        return
    metrics = ", ".join(metric.name for metric in scaling.metrics)
    bounds = f"{scaling.min_replicas} to {_pods(scaling.max_replicas)}"
    yield Text(f"scaled by {engine}: {bounds} of each revision, by {metrics}")
    yield Text(f"in a rollout no fewer than above, and {_pods(expansion.replicas)} of stable")
    ceiling = max(scaling.max_replicas, expansion.replicas)
    yield Text(f"at most {_pods(most)} at a time at this size, {2 * ceiling} when load grows")
    if not scaling.min_replicas:
        yield Text(f"at rest no pods after {format_duration(scaling.idle_seconds)} without load")


def _drop_empty(rows: list[list[str]]) -> list[list[str]]:
    """The columns in which something stands below the header."""
    filled = [any(column[1:]) for column in zip(*rows, strict=True)]
    return [[cell for cell, keep in zip(row, filled, strict=True) if keep] for row in rows]


def _cells(number: int, step: Step, need: Need) -> list[str]:
    headers = tell_headers({"name": h.name, "value": h.value, "type": h.type} for h in step.headers)
    return [
        str(number),
        step.name,
        f"{step.weight:4} %",
        describe_extras(step.mirror, headers),
        _pods(need.canary),
        _tell_end(step),
    ]


def _tell_end(step: Step) -> str:
    if step.name == CLOSING_NAME:
        return "when the router has taken it"
    if step.name == EXPERIMENT_NAME:
        return "when one version is better"
    held = f"after {format_duration(step.hold_seconds)}" if step.hold_seconds else ""
    approved = "when a person promotes" if step.approval else ""
    return ", ".join(part for part in (held, approved) if part) or "when its traffic flows"


def _tell_guard(rollout: RolloutSpec) -> str:
    if not rollout.guard_seconds:
        return "no guard: the previous revision goes at once"
    stays = f"stays warm with {rollout.holdback} %" if rollout.holdback else "stays warm"
    return f"guard of {format_duration(rollout.guard_seconds)}: the previous revision {stays}"


def _tell_analysis(analysis: AnalysisSpec | None) -> Iterator[Text]:
    if analysis is None:
        yield Text("no analysis: judged on its pods' health alone", "yellow")
        return
    for metric in analysis.metrics:
        yield Text(f"judged by {metric.name}: {_tell_bounds(metric)}")
    for job in analysis.jobs:
        yield Text(f"judged by {job.name}: {_tell_job(job)}")
    if not analysis.metrics and not analysis.custom:
        return
    yield Text(f"a step passes with at least {analysis.min_requests} answers of the canary")


def _tell_job(job: JobSpec) -> str:
    return f"a Job in each step, which has to succeed within {format_duration(job.timeout_seconds)}"


def _tell_bounds(metric: Metric) -> str:
    errors = metric.kind == "ErrorRate"
    bounds = []
    if metric.max is not None:
        bounds.append(f"max {_percent(metric.max) if errors else format_duration(metric.max)}")
    if metric.max_increase is not None:
        bounds.append(f"stable + {_percent(metric.max_increase)}")
    if metric.max_ratio is not None:
        bounds.append(f"stable x {metric.max_ratio:g}")
    return ", ".join(bounds)


def _percent(share: float) -> str:
    return f"{100 * share:.3g}%"


def _pods(count: int) -> str:
    return f"{count} pod" if count == 1 else f"{count} pods"
