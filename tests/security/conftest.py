"""A cluster of this worker's own with the chart's rights and policies, and a namespace a test."""

import re
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.cluster.cluster import Cluster
from testbed.cluster.fixtures import control_plane
from tests.security.estate import Estate, Place, make_place

__all__ = ["control_plane"]


@pytest.fixture(scope="session")
def estate(control_plane: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Estate]:
    """The chart's rights and policies on a cluster with simulated nodes."""
    found = Estate(control_plane, tmp_path_factory.mktemp("estate"))
    found.install()
    yield found
    found.operator.stop()


@pytest.fixture
def place(estate: Estate, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """A namespace that the tenant may use. Nobody sees to it that the operator runs."""
    name = request.node.name.lower().removeprefix("test_")
    words = re.sub("[^a-z0-9]+", "-", name)[:30].strip("-")
    found = make_place(estate, tmp_path, f"{words}-{zlib.crc32(name.encode()):08x}")
    yield found
    estate.cluster.kubectl("delete", "namespace", found.namespace, "--wait=false")
    found.operator.check()


@pytest.fixture
def served(place: Place) -> Place:
    """The same with the operator at work, which reads from no address of this machine."""
    place.operator.start()
    return place
