"""What objects and price lists say of requests, use and prices, read into the values of `usage`."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from canarium.core.quantities import parse_quantity
from canarium.cost.usage import Amounts, Containers, PodKey, PriceList, Prices

Json = Mapping[str, Any]

INTEL_GPUS = ("gpu.intel.com/i915", "gpu.intel.com/xe")


def read_requests(pod_spec: Json) -> Containers:
    """What a pod's containers ask for; a limit without a request is one, as the apiserver has it.

    Init containers count when they go on running, as sidecars do. Raises ValueError for what is
    no quantity.
    """
    sidecars = (
        each
        for each in pod_spec.get("initContainers") or ()
        if each.get("restartPolicy") == "Always"
    )
    containers = (*(pod_spec.get("containers") or ()), *sidecars)
    return {each["name"]: _read_container(each.get("resources") or {}) for each in containers}


def _read_container(resources: Json) -> Amounts:
    asked = {**(resources.get("limits") or {}), **(resources.get("requests") or {})}
    gpus = (parse_quantity(amount) for name, amount in asked.items() if is_gpu(name))
    return Amounts(
        parse_quantity(asked.get("cpu", 0)),
        parse_quantity(asked.get("memory", 0)),
        sum(gpus, Decimal(0)),
    )


def is_gpu(resource: str) -> bool:
    """Whether a resource is whole GPUs: nvidia.com/gpu, amd.com/gpu, Intel's. Slices are not."""
    return resource.endswith("/gpu") or resource in INTEL_GPUS


def read_pod_metrics(item: Json) -> tuple[PodKey, Containers]:
    """What a PodMetrics object (metrics.k8s.io/v1beta1) says: its pod, and the containers' use.

    Raises ValueError for what is no quantity.
    """
    about = item["metadata"]
    used = {
        each["name"]: Amounts(
            parse_quantity(each["usage"].get("cpu", 0)),
            parse_quantity(each["usage"].get("memory", 0)),
        )
        for each in item.get("containers") or ()
    }
    return (about.get("namespace", ""), about["name"]), used


def parse_prices(data: object) -> PriceList:
    """Read prices as OpenCost's custom pricing has them: CPU, RAM and GPU, money for an hour.

    RAM is per GiB. `currencyCode` names the currency; other keys of OpenCost's are passed over.
    Raises ValueError with what to write instead.
    """
    if not isinstance(data, Mapping) or not {"CPU", "RAM", "GPU"} & data.keys():
        raise ValueError("prices are a mapping with CPU, RAM and GPU, money for an hour of each")
    cpu, ram, gpu = (_read_price(name, data.get(name)) for name in ("CPU", "RAM", "GPU"))
    return PriceList(Prices(cpu, ram, gpu), currency=str(data.get("currencyCode") or ""))


def _read_price(name: str, value: object) -> Decimal | None:
    if value is None:
        return None
    try:
        price = Decimal(str(value)) if not isinstance(value, bool) else Decimal("NaN")
    except InvalidOperation:
        price = Decimal("NaN")
    if not price.is_finite() or price < 0:
        raise ValueError(f"{name}: write money for an hour, such as 0.031611, not {value!r}")
    return price
