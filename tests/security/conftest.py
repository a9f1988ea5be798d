"""A cluster of this worker's own with the chart's rights and policies, and a namespace a test."""

import re
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.cluster import Cluster
from tests.cluster.fixtures import control_plane
from tests.security.estate import Estate, Place, make_place

__all__ = ["control_plane"]


@pytest.fixture(scope="session")
def estate(control_plane: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Estate:
    """The chart's rights and policies on a cluster with simulated nodes."""
    found = Estate(control_plane, tmp_path_factory.mktemp("estate"))
    found.install()
    return found


@pytest.fixture
def place(estate: Estate, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """A namespace that the tenant may use; its operator is not started."""
    name = request.node.name.lower().removeprefix("test_")
    words = re.sub("[^a-z0-9]+", "-", name)[:30].strip("-")
    found = make_place(estate, tmp_path, f"{words}-{zlib.crc32(name.encode()):08x}")
    yield found
    found.operator.stop()
    estate.cluster.kubectl("delete", "namespace", found.namespace, "--wait=false")


@pytest.fixture
def served(place: Place) -> Place:
    """The same with an operator at work, that reads from no address of this machine."""
    place.operator.start()
    return place
