"""A plugin for pytest: the two toys are known before anything is made of the registries."""

from canarium.routing.base import register

from tests.unit.adding.toy_router import Toy

register(Toy())

from canarium.metrics.sources import SOURCES  # noqa: E402 - this reads what the routers say

from tests.unit.adding.toy_source import ToyReader  # noqa: E402

SOURCES[ToyReader.query_type] = ToyReader
