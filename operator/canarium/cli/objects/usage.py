"""What the revisions of one ModelDeployment use: asked of the cluster, and told in a line each."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Context, Decimal
from itertools import chain
from typing import TYPE_CHECKING, Any

from rich.text import Text

from canarium.cli.objects.status_report import find_held, read_revision
from canarium.core.names import MODEL_LABEL
from canarium.core.spec import Protocol
from canarium.cost.consumption import Question, read_prometheus
from canarium.cost.prices import read_prices
from canarium.cost.reading import read_pod_metrics
from canarium.cost.usage import GIBIBYTE, Figure, PodKey, PriceList, Readings, Use, find_with_gpus
from canarium.errors import CommandError, ConfigError, NotAllowedError, UnavailableError
from canarium.kube.kinds import POD_METRICS
from canarium.metrics.sources.pods import make_session
from canarium.metrics.sources.prometheus import PrometheusSource
from canarium.outbound.forbidden_addresses import check_address
from canarium.queries.profiles import find_profile

if TYPE_CHECKING:
    from canarium.cli.connection import Connection

Json = Mapping[str, Any]

DIGITS = Context(prec=3)
MEBIBYTE = Decimal(2**20)
WORDS: Mapping[Figure, str] = {
    "use": "use",
    "gpuUse": "GPUs at work",
    "predictions": "predictions",
    "cost": "cost",
}


@dataclass(frozen=True, slots=True)
class UsageSources:
    """Whom a person names beside the cluster: a Prometheus, "" for none, and a price list."""

    prometheus_url: str = ""
    prices: PriceList | None = None


def read_sources(arguments: argparse.Namespace) -> UsageSources:
    """The sources that were named. CommandError for what is of no use."""
    try:
        if arguments.prometheus_url:
            check_address(arguments.prometheus_url)
        prices = read_prices(arguments.prices) if arguments.prices else None
    except (ConfigError, ValueError) as error:
        raise CommandError(str(error)) from error
    return UsageSources(arguments.prometheus_url, prices)


async def fetch_readings(
    connection: Connection,
    name: str,
    sources: UsageSources,
    *,
    pods: Sequence[Json],
    records: Sequence[Json],
    protocol: Protocol,
    now: float,
) -> Readings:
    """Measure what the pods use, once; what cannot be measured has its reason in the answer."""
    question = make_question(pods, records, protocol)
    if sources.prometheus_url:
        async with make_session() as session:
            prometheus = PrometheusSource(session, sources.prometheus_url)
            asked = await read_prometheus(prometheus, question, sources.prices, now)
    else:
        asked = await read_prometheus(None, question, sources.prices, now)
    selector = {"labelSelector": f"{MODEL_LABEL}={name}"}
    try:
        found = await connection.list(POD_METRICS, query=selector)
        measured = dict(read_pod_metrics(item) for item in found["items"])
    except (CommandError, UnavailableError, ValueError) as error:
        return replace(asked, reasons={**asked.reasons, "use": _explain(error)})
    return replace(asked, containers=measured)


def _explain(error: Exception) -> str:
    if isinstance(error, CommandError) and not isinstance(error, NotAllowedError):
        return "metrics.k8s.io is not served: install metrics-server"
    return str(error)


def make_question(
    pods: Sequence[Json], records: Sequence[Json], protocol: Protocol = "HTTP"
) -> Question:
    """What to ask about the pods: which have GPUs, and how each revision's servers count."""
    held = find_held(pods)
    counting: dict[str, set[PodKey]] = {}
    for record in records:
        server = (record.get("spec") or {}).get("source", {}).get("server") or {}
        if server.get("metrics") is not None:
            profile = server["metrics"].get("profile") or "Prometheus"
            own = held.get(read_revision(record), ())
            counting.setdefault(profile, set()).update(pod.key for pod in own)
    profiles = ((find_profile(name, protocol), keys) for name, keys in counting.items())
    return Question(
        find_with_gpus(chain.from_iterable(held.values())),
        tuple((profile, keys) for profile, keys in profiles if profile is not None and keys),
    )


def tell_use(use: Use | None) -> Iterator[Text]:
    """One line of figures, and one each of what would belong there and isn't known.

    Nothing at all where neither the use was measured nor any price is known.
    """
    if use is None or not use.pods or not (use.measured_pods or use.priced):
        return
    yield Text("   ".join(filter(None, _tell_figures(use))))
    wanted: tuple[Figure, ...] = ("use", "gpuUse")
    if use.priced:
        wanted = ("use", "gpuUse", "cost" if use.cost_per_hour is None else "predictions")
    for figure in wanted:
        if figure in use.not_measured:
            yield Text(f"{WORDS[figure]} not measured: {use.not_measured[figure]}", "dim")


def _tell_figures(use: Use) -> Iterator[str]:
    asked = use.requested
    yield _tell_amount("CPU", use.used_cpu_cores, asked.cpu_cores, format_number)
    yield _tell_amount("memory", use.used_memory_bytes, asked.memory_bytes, format_bytes)
    if asked.gpus:
        yield _tell_amount("GPU", use.used_gpus, asked.gpus, format_number)
    if 0 < use.measured_pods < use.pods:
        yield f"of {use.measured_pods} of {use.pods} pods"
    money = f" {use.currency}" if use.currency else ""
    if use.cost_per_hour is not None:
        yield f"{format_number(use.cost_per_hour)}{money}/h"
    if use.cost_per_thousand_predictions is not None:
        yield f"{format_number(use.cost_per_thousand_predictions)}{money}/1,000 predictions"


def _tell_amount(what: str, used: Decimal | None, asked: Decimal, write: Any) -> str:
    if used is None:
        return f"{what} {write(asked)} requested" if asked else ""
    return f"{what} {write(used)} of {write(asked)}" if asked else f"{what} {write(used)}"


def format_number(value: Decimal) -> str:
    """Three digits that matter, and never an exponent."""
    rounded = value.quantize(Decimal(1)) if abs(value) >= 100 else DIGITS.plus(value)
    return f"{rounded.normalize():f}"


def format_bytes(value: Decimal) -> str:
    """In MiB, or GiB from one on."""
    if value < GIBIBYTE:
        return f"{format_number(value / MEBIBYTE)} MiB"
    return f"{format_number(value / GIBIBYTE)} GiB"
