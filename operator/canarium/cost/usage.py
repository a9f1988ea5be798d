"""What revisions ask for, what they use of it, and what that costs: arithmetic on readings.

All amounts are exact decimals: cores, bytes, GPUs, and money in whatever currency the prices are.
What was not measured is None with a reason, never zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal, TypeVar

PodKey = tuple[str, str]
"A pod's namespace and name."
Figure = Literal["use", "gpuUse", "predictions", "cost", "costPerThousandPredictions"]

GIBIBYTE = Decimal(2**30)
SECONDS_PER_HOUR = 3600
RATE_SECONDS = 300
"""Over which predictions are counted: long enough for scrapes a minute or two apart, short enough
to follow the load. A rate over a time that began before the pod would be too low."""

ENDED = ("Succeeded", "Failed")
"Phases of a pod in which it holds nothing of its node any more."

NOT_YET = "none of its pods was measured yet"
NO_GPUS = "no GPU of its pods was measured"
NO_COUNTS = "no requests to its pods were counted"
TOO_YOUNG = "its pods are younger than five minutes"
NO_PRICES = "no prices are known"
NO_REQUESTS = "nobody asked it anything"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Amounts:
    """An amount of each resource."""

    cpu_cores: Decimal = Decimal(0)
    memory_bytes: Decimal = Decimal(0)
    gpus: Decimal = Decimal(0)


Containers = Mapping[str, Amounts]
"What each container of a pod asks for, or uses, by its name."


@dataclass(frozen=True, slots=True)
class HeldPod:
    """A pod that was given its place on a node."""

    key: PodKey
    node: str
    requests: Containers
    created_at: float


@dataclass(frozen=True, slots=True)
class Prices:
    """Money per core, GiB of memory and GPU, for an hour each; None where it isn't known."""

    cpu_core_hour: Decimal | None = None
    memory_gibibyte_hour: Decimal | None = None
    gpu_hour: Decimal | None = None


@dataclass(frozen=True, slots=True)
class PriceList:
    """Prices of everything, or a node's own. `currency` is a code such as USD, "" if not said."""

    everywhere: Prices = Prices()
    nodes: Mapping[str, Prices] = field(default_factory=dict)
    currency: str = ""

    def of(self, node: str) -> Prices:
        """The prices that hold on a node."""
        return self.nodes.get(node, self.everywhere)


@dataclass(frozen=True, slots=True)
class Readings:
    """What was measured at about one time; of None, `reasons` says why there is nothing.

    `gpus` are the GPUs' worth of work a pod does, `predictions` requests a second to it over the
    last RATE_SECONDS before `measured_at` (Unix time).
    """

    measured_at: float

    containers: Mapping[PodKey, Containers] | None = None
    gpus: Mapping[PodKey, Decimal] | None = None
    predictions: Mapping[PodKey, Decimal] | None = None
    prices: PriceList | None = None
    reasons: Mapping[Figure, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Use:
    """A revision's share of the cluster now.

    The use is that of `measured_pods` of its `pods`; `not_measured` says why a figure is None.
    """

    pods: int = 0
    measured_pods: int = 0
    requested: Amounts = Amounts()
    used_cpu_cores: Decimal | None = None
    used_memory_bytes: Decimal | None = None
    used_gpus: Decimal | None = None
    predictions_per_second: Decimal | None = None
    cost_per_hour: Decimal | None = None
    cost_per_thousand_predictions: Decimal | None = None
    priced: bool = False
    "Whether any price is known, so that a cost is to be expected."
    currency: str = ""
    not_measured: Mapping[Figure, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RevisionUse:
    """The use of one revision, with its names."""

    namespace: str
    model: str
    revision: str
    version: str
    use: Use


def find_with_gpus(pods: Iterable[HeldPod]) -> frozenset[PodKey]:
    """The pods that requested GPUs."""
    return frozenset(pod.key for pod in pods if any(each.gpus for each in pod.requests.values()))


def compute_use(pods: Sequence[HeldPod], readings: Readings) -> Use:
    """What a revision's pods ask for, use and cost."""
    if not pods:
        return Use()
    requested = _add(amounts for pod in pods for amounts in pod.requests.values())
    measured = _pick(pods, readings.containers)
    used = _add(amounts for containers in measured for amounts in containers.values())
    gpus = _pick(pods, readings.gpus) if requested.gpus else ()
    rate, no_rate = count_predictions(pods, readings)
    cost, no_cost = compute_cost(pods, readings)
    share, no_share = compute_share(pods, readings)
    found: dict[Figure, str] = {
        "use": "" if measured else NOT_YET,
        "gpuUse": "" if gpus or not requested.gpus else NO_GPUS,
        "predictions": no_rate,
        "cost": no_cost,
        "costPerThousandPredictions": no_share,
    }
    return Use(
        pods=len(pods),
        measured_pods=len(measured),
        requested=requested,
        used_cpu_cores=used.cpu_cores if measured else None,
        used_memory_bytes=used.memory_bytes if measured else None,
        used_gpus=sum(gpus, Decimal(0)) if gpus else None,
        predictions_per_second=rate,
        cost_per_hour=cost,
        cost_per_thousand_predictions=share,
        priced=readings.prices is not None,
        currency=readings.prices.currency if readings.prices else "",
        not_measured={
            figure: readings.reasons.get(figure, why) for figure, why in found.items() if why
        },
    )


def compute_cost(pods: Sequence[HeldPod], readings: Readings) -> tuple[Decimal | None, str]:
    """Money an hour for what the pods are allocated, or None and why that isn't known.

    Of each container and resource the greater of what is requested and what is used, times its
    price: the "Workload Costs" of the OpenCost Specification. Where the use isn't measured what
    is requested has to do. GPUs belong to whoever requested them, used or not.
    """
    if readings.prices is None:
        return None, NO_PRICES
    cost = Decimal(0)
    for pod in pods:
        amounts, problem = _allocate(pod, (readings.containers or {}).get(pod.key, {}))
        price, missing = _price(amounts, readings.prices.of(pod.node), pod.node)
        if problem or missing:
            return None, problem or missing
        cost += price
    return cost, ""


def count_predictions(pods: Sequence[HeldPod], readings: Readings) -> tuple[Decimal | None, str]:
    """Predictions a second of the pods that are old enough, or None and why that isn't known.

    A pod that is and has no counter was asked nothing yet, if another one has.
    """
    settled = _find_settled(pods, readings)
    if not settled:
        return None, TOO_YOUNG
    counted = _pick(settled, readings.predictions)
    return (sum(counted, Decimal(0)), "") if counted else (None, NO_COUNTS)


def compute_share(pods: Sequence[HeldPod], readings: Readings) -> tuple[Decimal | None, str]:
    """Money for 1,000 predictions: that of an hour, over an hour's predictions, times 1,000.

    Both are those of the pods that are old enough to be counted.
    """
    rate, no_rate = count_predictions(pods, readings)
    cost, no_cost = compute_cost(_find_settled(pods, readings), readings)
    if rate is None or cost is None:
        return None, no_cost or no_rate
    return (cost * 1000 / (rate * SECONDS_PER_HOUR), "") if rate else (None, NO_REQUESTS)


def _find_settled(pods: Sequence[HeldPod], readings: Readings) -> tuple[HeldPod, ...]:
    began_at = readings.measured_at - RATE_SECONDS
    return tuple(pod for pod in pods if pod.created_at <= began_at)


def _allocate(pod: HeldPod, used: Containers) -> tuple[Amounts, str]:
    """What a pod is allocated, and a sentence if that can't be told."""
    names = dict.fromkeys((*pod.requests, *used))
    pairs = {name: (pod.requests.get(name, Amounts()), used.get(name)) for name in names}
    for name, (asked, use) in pairs.items():
        if use is None and not (asked.cpu_cores and asked.memory_bytes):
            what = "memory" if asked.cpu_cores else "CPU"
            return Amounts(), f"{what} of container {name} is neither requested nor measured"
    return _add(_larger(asked, use or asked) for asked, use in pairs.values()), ""


def _larger(asked: Amounts, used: Amounts) -> Amounts:
    return Amounts(
        max(asked.cpu_cores, used.cpu_cores),
        max(asked.memory_bytes, used.memory_bytes),
        asked.gpus,
    )


def _price(amounts: Amounts, prices: Prices, node: str) -> tuple[Decimal, str]:
    """Money an hour, and a sentence if a price is missing."""
    cost = Decimal(0)
    for amount, price, what in (
        (amounts.cpu_cores, prices.cpu_core_hour, "CPU"),
        (amounts.memory_bytes / GIBIBYTE, prices.memory_gibibyte_hour, "RAM"),
        (amounts.gpus, prices.gpu_hour, "GPU"),
    ):
        if amount and price is None:
            return Decimal(0), f"the price of {what} on node {node} isn't known"
        cost += amount * (price or 0)
    return cost, ""


def _pick(pods: Iterable[HeldPod], found: Mapping[PodKey, T] | None) -> tuple[T, ...]:
    """What was found of these pods."""
    return tuple(found[pod.key] for pod in pods if pod.key in found) if found else ()


def _add(amounts: Iterable[Amounts]) -> Amounts:
    cpu, memory, gpus = Decimal(0), Decimal(0), Decimal(0)
    for each in amounts:
        cpu, memory, gpus = cpu + each.cpu_cores, memory + each.memory_bytes, gpus + each.gpus
    return Amounts(cpu, memory, gpus)
