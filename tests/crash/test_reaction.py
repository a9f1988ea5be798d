"""A rollback does not queue behind others' ordinary work; `make bench-reaction` does it with 1,000.

Other tests run beside this one, so the margin is wide: it finds a queue, not a slow machine.
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
    assert statistics.median(found.busy) <= 2 * statistics.median(found.alone) + MARGIN_SECONDS
