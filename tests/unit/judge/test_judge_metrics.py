from math import inf, nan
from typing import Any

import pytest
from canarium.judge import Metric, Sample, absolute

from tests.unit.judge.judging import error_rate, latency_p99


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"kind": "Errors"}, "kind 'Errors' is unknown; write ErrorRate, Latency, Ratio or Gauge"),
        ({"kind": "ErrorRate", "max": 1.5}, "max has to be between 0 and 1"),
        ({"kind": "ErrorRate", "max": nan}, "max has to be between 0 and 1"),
        ({"kind": "ErrorRate", "max_increase": -0.1}, "maxIncrease has to be between 0 and 1"),
        ({"kind": "ErrorRate", "max_ratio": 0.5}, "maxRatio has to be a number of at least 1"),
        ({"kind": "ErrorRate", "quantile": 0.5}, "ErrorRate has no quantile"),
        (
            {"kind": "ErrorRate", "max_ratio": 2.0, "max_increase": 0.1},
            "give maxIncrease or maxRatio, not both",
        ),
        ({"kind": "Latency", "max": 1.0}, "Latency needs a quantile"),
        ({"kind": "Latency", "quantile": 1.0}, "quantile has to be between 0 and 1"),
        ({"kind": "Latency", "quantile": 0.9, "max": inf}, "or for Latency a number of seconds"),
        (
            {"kind": "Latency", "quantile": 0.9, "max_increase": 0.1},
            "Latency has no maxIncrease; write maxRatio",
        ),
    ],
)
def test_a_metric_that_means_nothing_is_refused_in_a_sentence_with_the_field(
    fields: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ValueError, match=f"metric x: .*{sentence}"):
        Metric("x", **fields)


@pytest.mark.parametrize(
    "counts",
    [
        (1, 2, None),
        (-1, 0, None),
        (1, -1, None),
        (1, 0, ((1.0, 1),)),
        (1, 0, ((1.0, 1), (0.5, 1), (inf, 1))),
        (1, 0, ((1.0, 1), (inf, 0))),
        (1, 0, ()),
    ],
)
def test_counts_that_cannot_be_are_refused(counts: tuple[int, int, Any]) -> None:
    with pytest.raises(ValueError, match=r"cannot be|has to rise"):
        Sample(*counts)


def test_without_stable_only_absolute_bounds_are_left() -> None:
    metrics = (error_rate(max=0.05, max_increase=0.01), latency_p99(max_ratio=1.2))
    assert absolute(metrics) == (error_rate(max=0.05),)
