"""pytest fixtures that hand out clusters: a running one when named, else one of the session's own.

With CI=true a cluster that cannot be started is a failure; elsewhere its tests are skipped.
"""

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from testbed.cluster import lifecycle
from testbed.cluster.cluster import Cluster
from testbed.cluster.lifecycle import Tier, Wish
from testbed.programs.processes import ClusterError
from testbed.programs.progress import Progress

_numbers = itertools.count()


@pytest.fixture(scope="session")
def control_plane() -> Iterator[Cluster]:
    """A control plane with simulated nodes."""
    with lend_cluster("control-plane") as cluster:
        yield cluster


@contextmanager
def lend_cluster(tier: Tier) -> Iterator[Cluster]:
    """The cluster named by CANARIUM_CLUSTER, or one of our own that ends with the block."""
    name = os.environ.get("CANARIUM_CLUSTER")
    if name:
        yield lifecycle.find(name)
        return
    with own_cluster(tier) as cluster:
        yield cluster


@contextmanager
def own_cluster(tier: Tier) -> Iterator[Cluster]:
    """A cluster that belongs to this test session and ends with the block.

    A session's and a module's can be there at the same time, so each has a name of its own.
    """
    name = f"test-{tier}-{os.getpid()}-{next(_numbers)}"
    wish = Wish(name=name, tier=tier, owned=True)
    with skipping():
        cluster = lifecycle.up(wish, Progress())
    try:
        yield cluster
    finally:
        lifecycle.down(cluster.name, Progress())


@contextmanager
def skipping() -> Iterator[None]:
    """What cannot be had here is skipped; with CI=true it is a failure."""
    try:
        yield
    except ClusterError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(error))
