"""Defaults of a whole cluster for spec.rollout, for whatever field of it an object leaves out.

A field that an object writes is its own, whole: defaults are never mixed into it. What would make
an object's rollout one that cannot be carried out is left out for that object, and it is said.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from canarium.api.modeldeployment.rollout import DEFAULTED_FIELDS, Rollout
from canarium.api.modeldeployment.spec import DeploymentSpec
from canarium.api.modeldeployment.strategies import expand
from canarium.api.nulls import drop_nulls
from canarium.api.problems import explain
from canarium.api.rules import find_problems
from canarium.errors import Problem, SpecError

Json = Mapping[str, Any]

KEPT_OUT = {
    "paused": "pausing is a person's own edit of one object: leave it out",
    "experiment": "an experiment is about one model: leave it out",
}
ONLY_WEIGHTS = "write steps with weights only: models without a gateway have these defaults, too"


@dataclass(frozen=True, slots=True)
class Defaults:
    """What is filled in, in the shape of spec.rollout; nothing by default."""

    rollout: Json = field(default_factory=dict)

    @property
    def addresses(self) -> tuple[str, ...]:
        """Those that whoever wrote them has all objects ask."""
        analysis = self.rollout.get("analysis", {})
        asked = [analysis.get("gateway", {}).get("address")]
        for metric in analysis.get("metrics", ()):
            asked += [metric.get("prometheus", {}).get("address"), metric.get("web", {}).get("url")]
        return tuple(filter(None, asked))


NO_DEFAULTS = Defaults()


@dataclass(frozen=True, slots=True)
class WithDefaults:
    """A spec with what defaults gave it: `given` are the fields, `unfit` why others were not."""

    spec: Any
    given: tuple[str, ...] = ()
    unfit: tuple[str, ...] = ()


def parse_defaults(written: Any) -> Defaults:
    """Read defaults: a mapping in the shape of spec.rollout, of which any part may be left out.

    Raises SpecError with every problem that was found, each with its field and a cure.
    """
    if written is None:
        return NO_DEFAULTS
    if not isinstance(written, Mapping):
        raise SpecError(Problem("", "write a mapping with the fields of spec.rollout"))
    written = drop_nulls(written)
    try:
        rollout = Rollout.model_validate(written)
    except ValidationError as error:
        raise SpecError(*map(_shorten, explain(error, "", Rollout))) from None
    problems = (*map(_shorten, find_problems(rollout, "")), *_find_unshareable(rollout))
    if problems:
        raise SpecError(*problems)
    return Defaults(written)


def _shorten(problem: Problem) -> Problem:
    """A path that starts at the file's top."""
    return Problem(problem.field.removeprefix("."), problem.message)


def fill(spec: Any, defaults: Defaults) -> WithDefaults:
    """Give a valid spec what defaults have for the fields that it leaves out."""
    rollout = spec.get("rollout", {})
    offers = {name: value for name, value in defaults.rollout.items() if _is_open(name, rollout)}
    if not offers:
        return WithDefaults(spec)
    whole = _with(spec, offers)
    if _find_objection(whole) is None:
        return WithDefaults(whole, _name_fields(offers))
    return _fill_one_by_one(spec, offers)


def _fill_one_by_one(spec: Json, offers: Json) -> WithDefaults:
    """Take what fits."""
    given: dict[str, Any] = {}
    unfit: list[str] = []
    for name, value in offers.items():
        objection = _find_objection(_with(spec, {**given, name: value}))
        if objection is None:
            given[name] = value
        else:
            unfit.append(f"{name} ({objection})")
    return WithDefaults(_with(spec, given), _name_fields(given), tuple(unfit))


def _with(spec: Json, given: Json) -> Json:
    return {**spec, "rollout": {**spec.get("rollout", {}), **given}} if given else spec


def _is_open(name: str, rollout: Json) -> bool:
    """Whether an object has left a field to the defaults: steps have two names."""
    ours = ("strategy", "steps") if name in ("strategy", "steps") else (name,)
    return all(each not in rollout for each in ours)


def _name_fields(given: Json) -> tuple[str, ...]:
    """The fields that are copied when a rollout starts; a strategy is copied as its steps."""
    names = {"steps" if name == "strategy" else name for name in given}
    return tuple(name for name in DEFAULTED_FIELDS if name in names)


def _find_objection(spec: Json) -> str | None:
    """What is wrong with a spec, in one sentence; None when nothing is."""
    try:
        parsed = DeploymentSpec.model_validate(spec)
    except ValidationError as error:
        return str(next(iter(explain(error, "spec", DeploymentSpec))))
    return next((str(problem) for problem in find_problems(parsed, "spec")), None)


def _find_unshareable(rollout: Rollout) -> Iterator[Problem]:
    """What one model may have and no cluster may give to all of them."""
    for name, words in KEPT_OUT.items():
        if getattr(rollout, name) is not None:
            yield Problem(name, words)
    if rollout.guard is not None and rollout.guard.holdback:
        yield Problem("guard.holdback", "not every router can hold back: leave it out")
    if rollout.strategy is not None and _asks_for_more(expand(rollout.strategy)):
        yield Problem("strategy", ONLY_WEIGHTS)
    for index, step in enumerate(rollout.steps or ()):
        if step.mirror is not None or step.headers is not None:
            yield Problem(f"steps[{index}]", ONLY_WEIGHTS)
    for index, metric in enumerate(rollout.analysis.metrics if rollout.analysis else ()):
        reference = metric.template_ref
        if reference is not None and reference.kind != "ClusterMetricTemplate":
            words = "name a ClusterMetricTemplate: a MetricTemplate is in one namespace only"
            yield Problem(f"analysis.metrics[{index}].templateRef", words)


def _asks_for_more(steps: list[dict[str, Any]]) -> bool:
    return any("mirror" in step or "headers" in step for step in steps)
