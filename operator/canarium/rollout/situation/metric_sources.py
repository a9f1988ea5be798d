"""Where a step's figures come from: what is asked for, whose counters are read, and what can't be.

A metric that nothing can be asked for is a value of its own: nothing passes by it.
"""

from __future__ import annotations

from canarium.core.metrics import KnownTemplate, MetricQuery, Unusable, resolve
from canarium.core.plan import GatewayEndpoint
from canarium.core.spec import AnalysisSpec
from canarium.rollout.situation.situation import Situation
from canarium.routing.gateway_counters import explain_uncounted, find_gateway_kind


def find_feeds(situation: Situation, analysis: AnalysisSpec) -> tuple[MetricQuery, ...]:
    """What is asked for, one metric at a time."""
    return tuple(found for found in _resolve(situation, analysis) if isinstance(found, MetricQuery))


def find_unusable(situation: Situation, analysis: AnalysisSpec) -> tuple[Unusable, ...]:
    """The metrics of an analysis that nothing can be asked for, each with why."""
    asked = (found for found in _resolve(situation, analysis) if isinstance(found, Unusable))
    return (*asked, *_find_uncounted(situation, analysis))


def find_gateway(situation: Situation, analysis: AnalysisSpec) -> GatewayEndpoint | None:
    """Where the gateway's counters are read; None where nothing is judged by them."""
    kind = find_gateway_kind(situation.traffic.choice.name, situation.observed)
    wanted = any(metric.source == "Gateway" for metric in analysis.metrics)
    if not wanted or kind is None or explain_uncounted(kind, situation.traffic.protocol):
        return None
    return GatewayEndpoint(kind, analysis.gateway, analysis.gateway_secret)


def _find_uncounted(situation: Situation, analysis: AnalysisSpec) -> tuple[Unusable, ...]:
    asked = [metric.name for metric in analysis.metrics if metric.source == "Gateway"]
    if not asked:
        return ()
    kind = find_gateway_kind(situation.traffic.choice.name, situation.observed)
    words = explain_uncounted(kind, situation.traffic.protocol)
    return tuple(Unusable(name, "GatewayCannotTell", words) for name in asked if words)


def _resolve(situation: Situation, analysis: AnalysisSpec) -> list[MetricQuery | Unusable]:
    templates = {
        (record.kind, record.meta.name): KnownTemplate(record.spec, record.problem)
        for record in situation.observed.templates
    }
    found = [resolve(metric, templates) for metric in analysis.custom]
    experiment = situation.terms.experiment.metric if situation.terms.experiment else ""
    return [_must_count(each) if _name_of(each) == experiment else each for each in found]


def _name_of(found: MetricQuery | Unusable) -> str:
    return found.metric if isinstance(found, Unusable) else found.metric.name


def _must_count(found: MetricQuery | Unusable) -> MetricQuery | Unusable:
    """Two revisions are told apart by how often something happens, not by a figure."""
    if isinstance(found, Unusable) or found.query.total:
        return found
    words = "an experiment goes by counts: write good or bad, and total, instead of one figure"
    return Unusable(found.metric.name, "ExperimentNeedsCounts", words)
