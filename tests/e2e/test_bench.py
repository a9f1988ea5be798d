"""The benchmark in small: it finishes, stays within what a rollout may ask for, and then rests.

Times and memory of 20 objects on a busy machine say little; counts of requests say the same
everywhere. docs/performance.md has the figures of large runs.
"""

import pytest

from benchmarks.rollouts.fresh import Size, run_on_fresh_cluster
from benchmarks.rollouts.report import render_text
from testbed.programs.progress import Progress

REQUESTS_PER_ROLLOUT = 20.0
"What a rollout asks for now is 19 (ADR 12); now and then a count is written by itself."
RESIDENT_MIB = 100.0
REST_SHARE_OF_A_CORE = 0.01
"What 100 objects at rest may take is not to be taken by 20."
SMALL = Size(objects=20, samples=3, rest_seconds=10.0)


@pytest.mark.timeout(600)
@pytest.mark.xdist_group("simulated")
def test_twenty_rollouts_stay_within_their_requests_and_then_rest() -> None:
    figures = run_on_fresh_cluster(SMALL, Progress())
    table = "\n".join(render_text(figures))
    assert figures.rolling.total <= REQUESTS_PER_ROLLOUT * figures.objects, table
    assert figures.resting.writes == {}, table
    assert figures.resident_mib < RESIDENT_MIB, table
    assert figures.rest_cpu_seconds < REST_SHARE_OF_A_CORE * figures.rest_seconds, table
    assert len(figures.latencies) == SMALL.samples
