"""Plots as SVG: axes with round ticks, everything within them, text that cannot break out."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest
from canarium.cli.drawing.svg import Axis, Band, Curve, Marks, Panel, render


@pytest.mark.parametrize(
    ("axis", "want"),
    [
        (Axis(0.0, 0.0723, percent=True), ["0%", "1%", "2%", "3%", "4%", "5%", "6%", "7%"]),
        (Axis(0.0, 1.0), ["0", "0.2", "0.4", "0.6", "0.8", "1"]),
        (Axis(0.0, 9.0), ["0", "2", "4", "6", "8"]),
        (Axis(0.1, 1000.0, logarithmic=True), ["0.1", "1", "10", "100", "1000"]),
        (Axis(150.0, 600.0, logarithmic=True), ["200", "500"]),
        (Axis(1.0, 1e30, logarithmic=True), ["1", "10000", "1e+08", "1e+12", "1e+16", "1e+20",
                                             "1e+24", "1e+28"]),
        (Axis(1, 2, ticks=[(1, "12:00"), (2, "12:01")]), ["12:00", "12:01"]),
    ],
)  # fmt: skip
def test_an_axis_has_a_few_round_ticks(axis: Axis, want: list[str]) -> None:
    assert [label for _, label in axis.list_ticks()] == want


def test_a_value_lies_on_its_axis_or_at_its_end() -> None:
    axis = Axis(1.0, 100.0, logarithmic=True)
    assert [axis.place(value) for value in (0.0, 1.0, 10.0, 1e9)] == [0.0, 0.0, 0.5, 1.0]


def test_a_plot_has_an_element_for_each_item_and_its_words_are_only_words() -> None:
    panel = Panel(
        'a < b & "c"',
        Axis(0, 1),
        Axis(0, 1),
        [
            Curve("</svg>", "#123", [(0, 0), (1, 1)]),
            Band("#123", [(0, 0, 1), (1, 0, 1)]),
            Band("#123", [(0.5, 0, 1)]),
            Marks("cross", "#456", [(0.5, 0.5)], "Cross"),
        ],
        [(0.5, "limit")],
    )
    root = ET.fromstring(render("<title>", [panel, panel]))  # noqa: S314 - of our own making
    name = "{http://www.w3.org/2000/svg}"
    texts = [element.text for element in root.iter(f"{name}text")]
    assert root.findtext(f"{name}title") == "<title>"
    assert [texts.count(words) for words in ('a < b & "c"', "</svg>", "limit")] == [2, 2, 2]
    assert len(list(root.iter(f"{name}polygon"))) == 2
    assert len(list(root.iter(f"{name}path"))) == 4
