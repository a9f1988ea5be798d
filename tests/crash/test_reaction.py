"""What is urgent, or another namespace's, does not queue behind a namespace's ordinary work.

`make bench-reaction` does it with 1,000 objects. Other tests run beside this one, so the margin is
wide, and on a slow machine wider. Without a queue of their own rollbacks wait longer than an edit
of the others does, since they take more than one pass; without turns of the namespaces all edits
wait alike.
"""

import statistics
from pathlib import Path

import pytest

from testbed.cluster.cluster import Cluster
from tests.crash.reaction import measure

pytestmark = [pytest.mark.timeout(900, func_only=True)]

MARGIN_SECONDS = 1.0


async def test_a_rollback_and_an_edit_do_not_wait_for_a_hundred_rollouts_of_another_namespace(
    cluster: Cluster, tmp_path: Path
) -> None:
    found = await measure(cluster, tmp_path, others=100, times=5)
    print(f"\n{found}")
    alone, theirs = statistics.median(found.alone), statistics.median(found.their_edits)
    most = max(2 * alone + MARGIN_SECONDS, theirs / 2)
    assert statistics.median(found.busy) <= most
    assert statistics.median(found.edits) <= most
