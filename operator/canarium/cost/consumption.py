"""What Prometheus knows of pods beside their health: GPUs at work, requests; and nodes' prices.

One question for all pods of a kind, not one a pod. Labels are those that Prometheus' service
discovery gives (namespace, pod), or with exported_ before them where it found them taken.
"""

from __future__ import annotations

from collections.abc import Collection, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeVar

from canarium.cost.usage import RATE_SECONDS, Figure, PodKey, PriceList, Prices, Readings
from canarium.metrics.counting import Labels
from canarium.metrics.sources.prometheus import PrometheusSource
from canarium.outbound.errors import take_for_failed
from canarium.queries.inference_series import select_inference
from canarium.queries.profiles import Profile

NO_PROMETHEUS = "no Prometheus is known: name one by --prometheus-url"
NO_PRICES = "no prices are known: name a file by --prices, or a Prometheus that OpenCost fills"

T = TypeVar("T")

_BY_POD = "sum by (namespace, pod, exported_namespace, exported_pod)"
_GPU_USE = "DCGM_FI_DEV_GPU_UTIL"
"Percent of the time that a GPU did something, as NVIDIA's dcgm-exporter tells of each."
_PRICES = ("node_cpu_hourly_cost", "node_ram_hourly_cost", "node_gpu_hourly_cost")
"OpenCost's: money an hour for a core, a GiB and a GPU of a node; as the fields of Prices are."


@dataclass(frozen=True, slots=True)
class Question:
    """Of which pods GPUs and predictions are wanted: the latter by how their servers count."""

    with_gpus: Collection[PodKey] = ()
    counting: Sequence[tuple[Profile, Collection[PodKey]]] = ()


async def read_prometheus(
    prometheus: PrometheusSource | None,
    question: Question,
    listed: PriceList | None,
    now: float,
) -> Readings:
    """Whatever of this Prometheus knows; prices only where none are listed already.

    What cannot be read has its reason in the answer, and is no error. `now` is Unix time.
    """
    if prometheus is None:
        return Readings(now, prices=listed, reasons=_without_prometheus(listed))
    reasons: dict[Figure, str] = {}
    with_gpus, counting = question.with_gpus, question.counting
    return Readings(
        now,
        gpus=await _unless_failed("gpuUse", query_gpus(prometheus, with_gpus), reasons),
        predictions=await _unless_failed(
            "predictions", query_predictions(prometheus, counting), reasons
        ),
        prices=listed or await _unless_failed("cost", query_prices(prometheus), reasons),
        reasons=reasons,
    )


async def _unless_failed(
    figure: Figure, asking: Coroutine[Any, Any, T], reasons: dict[Figure, str]
) -> T | None:
    try:
        return await asking
    except Exception as error:  # noqa: BLE001 - the other figures can be had all the same
        reasons[figure] = f"Prometheus: {take_for_failed(error)}"
        return None


def _without_prometheus(listed: PriceList | None) -> dict[Figure, str]:
    reasons: dict[Figure, str] = {"gpuUse": NO_PROMETHEUS, "predictions": NO_PROMETHEUS}
    return reasons if listed else {**reasons, "cost": NO_PRICES}


async def query_gpus(
    prometheus: PrometheusSource, pods: Collection[PodKey]
) -> dict[PodKey, Decimal]:
    """How many GPUs' work each of these pods does. Raises SourceError."""
    if not pods:
        return {}
    return _by_pod(await prometheus.query_series(make_gpu_query(_spaces(pods))), pods)


async def query_predictions(
    prometheus: PrometheusSource, counting: Sequence[tuple[Profile, Collection[PodKey]]]
) -> dict[PodKey, Decimal]:
    """Requests a second to each of these pods, as their servers count them. Raises SourceError."""
    found: dict[PodKey, Decimal] = {}
    for profile, pods in counting:
        for query in make_predictions_queries(profile, _spaces(pods)):
            for key, rate in _by_pod(await prometheus.query_series(query), pods).items():
                found[key] = found.get(key, Decimal(0)) + rate
    return found


async def query_prices(prometheus: PrometheusSource) -> PriceList | None:
    """The prices of nodes; None when it knows none. Raises SourceError."""
    series = await prometheus.query_series(make_price_query())
    nodes: dict[str, dict[str, Decimal]] = {}
    for labels, value in series.items():
        named = dict(labels)
        node = named.get("node") or named.get("instance", "")
        nodes.setdefault(node, {})[named.get("__name__", "")] = _exact(value)
    prices = {node: Prices(*(found.get(name) for name in _PRICES)) for node, found in nodes.items()}
    return PriceList(nodes=prices) if prices else None


def make_gpu_query(namespaces: Collection[str]) -> str:
    """GPUs at work by pod."""
    series = " or ".join(_in(_GPU_USE, "", namespaces))
    return f"{_BY_POD} ({series}) / 100"


def make_predictions_queries(profile: Profile, namespaces: Collection[str]) -> list[str]:
    """Requests a second by pod, to be added up; none where the servers don't count them.

    The same series that a rollout is judged by, so that probes and metadata are no predictions.
    """
    beside = profile.failures if profile.counting == "Successes" else None
    return [
        f"{_BY_POD} ({' or '.join(_rates(name, profile, namespaces))})"
        for name in (profile.requests, beside)
        if name is not None
    ]


def _rates(name: str, profile: Profile, namespaces: Collection[str]) -> Iterator[str]:
    """Of one counter; no series is in two of them."""
    selection = select_inference(profile)
    for matchers in (*selection.routed, *selection.unrouted):
        for series in _in(name, ",".join(matchers), namespaces):
            yield f"rate({series}[{RATE_SECONDS}s])"


def make_price_query() -> str:
    """OpenCost's prices of nodes, all in one answer."""
    return f'max by (__name__, node, instance) ({{__name__=~"{"|".join(_PRICES)}"}})'


def _in(name: str, selection: str, namespaces: Collection[str]) -> Iterator[str]:
    """A metric in namespaces, whichever of both labels names them."""
    names = f'"{"|".join(sorted(namespaces))}"'  # of letters, digits and dashes alone
    matcher = f'__name__="{name}"' + (f",{selection}" if selection else "")
    yield f'{{{matcher},exported_namespace=~{names},exported_pod!=""}}'
    yield f'{{{matcher},namespace=~{names},pod!="",exported_pod=""}}'


def _spaces(pods: Collection[PodKey]) -> frozenset[str]:
    return frozenset(namespace for namespace, _name in pods)


def _by_pod(series: Mapping[Labels, float], pods: Collection[PodKey]) -> dict[PodKey, Decimal]:
    """Of these pods; others in their namespaces are other people's."""
    found: dict[PodKey, Decimal] = {}
    for labels, value in series.items():
        named = dict(labels)
        place = "exported_" if named.get("exported_pod") else ""
        key = named.get(f"{place}namespace", ""), named.get(f"{place}pod", "")
        if key in pods:
            found[key] = found.get(key, Decimal(0)) + _exact(value)
    return found


def _exact(value: float) -> Decimal:
    return Decimal(str(value))
