"""What Canarium reads by a definition of others', against what their own readers made of it.

The files beside this one say which reader, in which version, has said what; `record.py` makes them.
"""

import json
import re
from math import inf
from pathlib import Path
from typing import Any

import pytest
from canarium.api.scalars import DnsLabel, LabelValue, PortReference, QualifiedName, Subdomain
from canarium.core.quantities import canonical_quantity
from canarium.core.status import read_time
from canarium.judge.latency import choose_thresholds
from canarium.metrics.counters import Parser
from canarium.metrics.sources.web import _find
from canarium.queries.profiles import PROFILES
from canarium.queries.promql_selectors import confine
from pydantic import TypeAdapter, ValidationError

HERE = Path(__file__).parent
KINDS: dict[str, Any] = {
    "label": DnsLabel,
    "subdomain": Subdomain,
    "qualified": QualifiedName,
    "value": LabelValue,
    "port": PortReference,
}


def load(name: str) -> list[Any]:
    rows = json.loads((HERE / f"{name}.json").read_text())["rows"]
    assert len(rows) > 100
    return list(rows)


def test_quantities_are_spelled_as_kubernetes_keeps_them() -> None:
    for text, spelled in load("quantities"):
        assert canonical_quantity(text) == spelled, text


@pytest.mark.parametrize("kind", KINDS)
def test_names_are_those_that_kubernetes_takes(kind: str) -> None:
    adapter = TypeAdapter(KINDS[kind])

    def is_taken(text: str) -> bool:
        try:
            adapter.validate_python(text)
        except ValidationError:
            return False
        return True

    for text, kinds in load("names"):
        assert is_taken(text) == kinds[kind], text


def test_times_are_the_second_that_the_apiserver_means() -> None:
    for stored, second in load("times"):
        pythons = re.match("(?!0000)[0-9]{4}-", stored or "")
        assert read_time(stored or "") == (second if pythons else None), stored


def test_pages_count_what_prometheus_reads_in_them() -> None:
    profile = PROFILES["Prometheus"]
    for text, samples in load("pages"):
        series = [
            (each["labels"]["code"], int(float(each["value"])))
            for each in samples
            if each["labels"]["__name__"] == profile.requests
            and each["labels"].get("path") != "/ready"
        ]
        counted = Parser(profile).parse(text.encode())
        errors = sum(count for code, count in series if code.startswith("5"))
        assert (counted.requests, counted.errors) == (sum(n for _, n in series), errors), text


def test_queries_are_asked_in_the_words_that_prometheus_understood() -> None:
    """Whoever changes what is written has Prometheus judge it anew: make record-referees."""
    for query, confined in load("queries"):
        if confined:
            assert confine(query, "risk") == confined
        else:
            with pytest.raises(ValueError, match=r"write|info"):
                confine(query, "risk")


def test_paths_find_what_the_standard_says() -> None:
    def spell(found: list[Any]) -> list[str]:
        return sorted(json.dumps(each, sort_keys=True) for each in found)

    for path, document, found in load("paths"):
        assert spell(_find(path, document)) == spell(found), path


def test_thresholds_are_the_bound_below_which_prometheus_sees_the_quantile() -> None:
    for quantile, pairs, value in load("quantiles"):
        buckets = tuple((float(bound), int(count)) for bound, count in pairs)
        chosen = choose_thresholds(buckets, buckets, float(quantile), 1.0)
        assert chosen is not None
        finite = [bound for bound, _ in buckets if bound < inf]
        below = max([0.0, *(bound for bound in finite if bound < chosen[0])])
        assert below <= value <= chosen[0], (quantile, pairs)
