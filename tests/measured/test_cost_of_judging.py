"""Judging in small, on real sockets: what 200 objects take is in docs/performance.md."""

from __future__ import annotations

import pytest

from benchmarks.judging.report import MOST_CORES, OBJECTS_PROMISED, render_text
from benchmarks.judging.run import Size, run

LEAST_PACE = 0.5
"A busy machine comes late, but less than this proves nothing."
SMALL = Size(objects=20, seconds=10.0)


@pytest.mark.timeout(120)
def test_twenty_objects_take_their_part_of_a_core_and_no_pod_is_missed() -> None:
    figures = run(SMALL)
    table = "\n".join(render_text(figures))
    assert figures.cores < MOST_CORES * SMALL.objects / OBJECTS_PROMISED, table
    assert (figures.verdicts, figures.unread) == (("Pass",), 0), table
    assert figures.read_a_second > LEAST_PACE * figures.asked_a_second, table
