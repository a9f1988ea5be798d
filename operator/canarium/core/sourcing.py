"""Where a step's figures come from: what is asked for, whose counters are read, and what can't be.

A metric that nothing can be asked for is a value of its own: nothing passes by it.
"""

from __future__ import annotations

from collections.abc import Mapping

from canarium.core.actions import GatewayEndpoint, GatewayKind
from canarium.core.metrics import Feed, KnownTemplate, Unusable, resolve
from canarium.core.spec import AnalysisSpec
from canarium.core.status import Status
from canarium.core.view import View

_BY_CONTROLLER: Mapping[str, GatewayKind] = {
    "traefik.io/gateway-controller": "Traefik",
    "istio.io/gateway-controller": "Istio",
}
"Whose gateways count by revision. Envoy Gateway's share one cluster among weighted backends."
_BY_ROUTER: Mapping[str, GatewayKind] = {"Traefik": "Traefik", "Istio": "Istio"}


def find_feeds(view: View, analysis: AnalysisSpec) -> tuple[Feed, ...]:
    """What is asked for, one metric at a time."""
    return tuple(found for found in _resolve(view, analysis) if isinstance(found, Feed))


def find_unusable(view: View, status: Status, analysis: AnalysisSpec) -> tuple[Unusable, ...]:
    """The metrics of an analysis that nothing can be asked for, each with why."""
    asked = (found for found in _resolve(view, analysis) if isinstance(found, Unusable))
    return (*asked, *_find_uncounted(view, status, analysis))


def find_gateway(view: View, status: Status, analysis: AnalysisSpec) -> GatewayEndpoint | None:
    """Where the gateway's counters are read; None where nothing is judged by them."""
    kind = _find_kind(view, status)
    wanted = any(metric.source == "Gateway" for metric in analysis.metrics)
    if not wanted or kind is None:
        return None
    return GatewayEndpoint(kind, analysis.gateway, analysis.gateway_secret)


def _find_kind(view: View, status: Status) -> GatewayKind | None:
    router = view.router_name(status)
    if router != "GatewayAPI":
        return _BY_ROUTER.get(router)
    kinds = {_BY_CONTROLLER.get(found.controller) for found in view.observed.gateway_classes}
    return kinds.pop() if len(kinds) == 1 else None


def _find_uncounted(view: View, status: Status, analysis: AnalysisSpec) -> tuple[Unusable, ...]:
    if _find_kind(view, status) is not None:
        return ()
    words = "this gateway doesn't count by revision, Traefik and Istio do: take source Pods"
    return tuple(
        Unusable(metric.name, "GatewayCannotTell", words)
        for metric in analysis.metrics
        if metric.source == "Gateway"
    )


def _resolve(view: View, analysis: AnalysisSpec) -> list[Feed | Unusable]:
    templates = {
        (record.kind, record.meta.name): KnownTemplate(record.spec, record.problem)
        for record in view.observed.templates
    }
    found = [resolve(metric, templates) for metric in analysis.custom]
    experiment = view.rollout.experiment.metric if view.rollout.experiment else ""
    return [_must_count(each) if _name_of(each) == experiment else each for each in found]


def _name_of(found: Feed | Unusable) -> str:
    return found.metric if isinstance(found, Unusable) else found.metric.name


def _must_count(found: Feed | Unusable) -> Feed | Unusable:
    """Two revisions are told apart by how often something happens, not by a figure."""
    if isinstance(found, Unusable) or found.query.total:
        return found
    words = "an experiment goes by counts: write good or bad, and total, instead of one figure"
    return Unusable(found.metric.name, "ExperimentNeedsCounts", words)
