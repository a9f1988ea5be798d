"""The text that Prometheus reads, held against prometheus_client's own parser and writer."""

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from canarium.core.observed import Meta, ModelObject
from canarium.cost.families import render_use
from canarium.cost.usage import RevisionUse, Use
from canarium.shell.metrics_reference import list_metrics, render_reference
from canarium.telemetry.exposition import format_value, render_gauge
from canarium.telemetry.families import ModelSnapshot
from canarium.telemetry.metrics import Metrics
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

ROOT = Path(__file__).parents[3]
SAMPLES = (
    (("risk", 'a "quoted" one'), 1.5),
    (("risk", "back\\slash"), 1e-9),
    (("risk", "two\nlines"), 1_700_000_000.25),
    (("risk", "Größe {}%s"), float("inf")),
    (("risk", ""), float("-inf")),
)


class Reference(Collector):
    """The same gauge, written by prometheus_client."""

    def collect(self) -> Iterator[GaugeMetricFamily]:
        family = GaugeMetricFamily("models", "What it tells.", labels=("namespace", "version"))
        for labels, value in SAMPLES:
            family.add_metric(labels, value)
        yield family


def read(text: str) -> list[tuple[str, dict[str, str], float]]:
    return [
        (sample.name, sample.labels, sample.value)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    ]


def test_the_text_is_what_prometheus_client_would_have_written() -> None:
    registry = CollectorRegistry()
    registry.register(Reference())

    ours = render_gauge("models", "What it tells.", ("namespace", "version"), SAMPLES).decode()

    theirs = generate_latest(registry).decode()
    assert ours.splitlines()[:2] == theirs.splitlines()[:2]
    assert read(ours) == read(theirs)
    assert len(read(ours)) == len(SAMPLES)


@pytest.mark.parametrize(("value", "text"), [(1, "1.0"), (float("nan"), "NaN"), (0.5, "0.5")])
def test_numbers_are_written_as_prometheus_reads_them(value: float, text: str) -> None:
    assert format_value(value) == text


def render(metrics: Metrics) -> str:
    return b"".join(metrics.render()).decode()


def test_a_process_that_does_not_act_tells_nothing_of_models() -> None:
    metrics, models = Metrics(), [ModelSnapshot(ModelObject(Meta("risk", "fraud", "u", "1"), None))]
    acts = True
    metrics.show_models(lambda: models if acts else None)

    told = render(metrics)
    acts = False
    silent = render(metrics)

    assert 'canarium_model_ready{namespace="risk",model="fraud"} 0.0' in told
    assert "canarium_model" not in silent
    assert "canarium_leader 0.0" in silent


def test_a_model_that_is_gone_leaves_no_series() -> None:
    metrics, models = Metrics(), [ModelSnapshot(ModelObject(Meta("risk", "fraud", "u", "1"), None))]
    metrics.show_models(lambda: models)
    assert 'model="fraud"' in render(metrics)

    models.clear()

    assert 'model="fraud"' not in render(metrics)
    assert 'canarium_models{phase="Healthy"} 0.0' in render(metrics)


def test_a_model_whose_series_cannot_be_made_takes_none_from_the_others() -> None:
    metrics, noted = Metrics(), list[str]()
    whole = ModelSnapshot(ModelObject(Meta("risk", "fraud", "u", "1"), None))
    meta = replace(whole.model.meta, name="broken")
    broken = ModelSnapshot(replace(whole.model, meta=meta), None)  # type: ignore[arg-type]
    metrics.show_models(lambda: [broken, whole], lambda about, _error: noted.append(about))

    told = render(metrics)

    assert 'canarium_model_ready{namespace="risk",model="fraud"} 0.0' in told
    assert told.count("# TYPE canarium_deployment_timestamp_seconds gauge") == 1
    assert set(noted) == {"risk/broken"}


def test_a_model_whose_samples_cannot_be_written_takes_none_from_the_others() -> None:
    metrics, noted = Metrics(), list[str]()
    whole = ModelSnapshot(ModelObject(Meta("risk", "fraud", "u", "1"), None))
    broken = replace(whole, model=replace(whole.model, meta=replace(whole.model.meta, name=7)))  # type: ignore[arg-type]
    metrics.show_models(lambda: [broken, whole], lambda about, _error: noted.append(about))

    told = render(metrics)

    assert 'canarium_model_ready{namespace="risk",model="fraud"} 0.0' in told
    assert set(noted) == {"risk/7"}


def test_every_metric_that_is_rendered_is_in_the_reference_with_its_type_and_labels() -> None:
    metrics = Metrics()
    metrics.show_models(tuple)
    row = RevisionUse("n", "m", "r", "v", Use(cost_per_hour=Decimal(1)))
    metrics.add_page(lambda: render_use([row]))

    families = list(text_string_to_metric_families(render(metrics)))

    told = {(f.name, f.type) for f in families if f.name.startswith("canarium_")}
    assert told == {(e.name.removesuffix("_total"), e.kind) for e in list_metrics()}


def test_names_keep_to_prometheus_conventions() -> None:
    for entry in list_metrics():
        assert entry.name.startswith("canarium_")
        assert entry.name.endswith("_total") == (entry.kind == "counter"), entry.name
        assert entry.text.endswith("."), entry.name
        assert not {"le", "quantile", "job", "instance"} & set(entry.labels), entry.name


def test_the_reference_that_is_in_the_docs_is_the_one_that_is_generated() -> None:
    page = (ROOT / "docs" / "reference" / "metrics.md").read_text()

    assert page == render_reference()
