"""A rollback does not queue behind others' ordinary work; `make bench-reaction` does it with 1,000.

Other tests run beside this one, so the margin is wide, and on a slow machine wider: without a queue
of their own rollbacks wait longer than an edit does, since they take more than one pass.
"""

import statistics
from pathlib import Path

import pytest

from tests.cluster.cluster import Cluster
from tests.crash.reaction import measure

pytestmark = [pytest.mark.timeout(300, func_only=True)]

MARGIN_SECONDS = 1.0


async def test_a_rollback_begins_as_soon_beside_a_hundred_rollouts(
    cluster: Cluster, tmp_path: Path
) -> None:
    found = await measure(cluster, tmp_path, others=100, times=5)
    print(f"\n{found}")
    alone, busy, ordinary = map(statistics.median, (found.alone, found.busy, found.ordinary))
    assert busy <= max(2 * alone + MARGIN_SECONDS, ordinary / 2)
