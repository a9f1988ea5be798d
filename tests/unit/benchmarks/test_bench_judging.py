"""The benchmark of what judging costs: its pods' metrics are what the operator reads."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from canarium.metrics.counters import Parser
from canarium.queries.profiles import PROFILES

from benchmarks.judging.pods import RATE, SIZE, render, serving
from benchmarks.judging.report import is_kept, render_markdown, render_text
from benchmarks.judging.run import Figures, Size

FIGURES = Figures(
    size=Size(objects=200, pods=2, seconds=60.0),
    seconds=60.0,
    lived_seconds=64.0,
    cpu_seconds=30.0,
    waited_seconds=3.0,
    served_cpu_seconds=6.0,
    resident_mib=52.0,
    growth_mib=0.5,
    scrapes=51_200,
    wakes=2400,
    unread=0,
    verdicts=("Pass",),
    lateness=(0.001, 0.002, 0.1),
)


@pytest.mark.parametrize("inferences", [0, RATE, 123_456])
def test_a_pods_answer_has_20_kib_and_its_inferences_are_counted(inferences: int) -> None:
    text = render(inferences)
    counters = Parser(PROFILES["MLServer"]).parse(text)
    assert SIZE - 200 < len(text) <= SIZE
    assert (counters.requests, counters.errors) == (
        inferences + inferences // 10,
        inferences // 100,
    )
    assert counters.latency is not None
    assert counters.latency[-1][1] == counters.requests


def test_pods_are_a_process_that_ends_with_its_user() -> None:
    with serving(3) as pods:
        assert len(set(pods.ports)) == 3
    assert pods.answered == 0


def test_figures_are_told_beside_their_names() -> None:
    text = list(render_text(FIGURES))
    assert text[2:6] == [
        f"{'cores, for all that is asked':44}0.50",
        f"{'answers read a second':44}800 of 800",
        f"{'waited for a processor':44}5.0% of the time",
        f"{'others in the loop late, p50 / p99 / most':44}2 ms / 100 ms / 100 ms",
    ]
    assert list(render_markdown([FIGURES, FIGURES]))[:2] == [
        "| objects, pods of each | 200, 4 | 200, 4 |",
        "| --- | --- | --- |",
    ]


@pytest.mark.parametrize(
    ("changes", "want"),
    [
        ({"cpu_seconds": 59.0}, True),
        ({"cpu_seconds": 60.0}, False),
        ({"unread": 1}, False),
        ({"scrapes": 25_601}, True),
        ({"scrapes": 25_600}, False),  # half of what was asked for half a core
    ],
)
def test_a_core_or_a_pod_that_was_missed_is_too_much(changes: dict[str, Any], want: bool) -> None:
    assert is_kept(replace(FIGURES, **changes)) is want
