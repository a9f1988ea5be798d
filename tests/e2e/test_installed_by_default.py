"""The chart with its own values: two replicas for the whole cluster, on real pods.

An operator for everything would take part in other scenarios, so this has the node for itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.addons.helm import NAMESPACE
from testbed.operators.installed import InstalledOperator
from testbed.scenario.manifests import rollout
from testbed.scenario.plays import READY_SECONDS, change, serve
from testbed.scenario.scenario import Scenario, phase
from tests.e2e.conftest import Theatre, play, set_up

pytestmark = [pytest.mark.timeout(420, func_only=True)]
TERMS = rollout((50, "1s"), guard={"duration": "1s"})


@pytest.fixture
def everywhere(
    node: Theatre, alone: None, request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[Scenario]:
    """A scenario on a cluster that has one operator, for all its namespaces."""
    found = set_up(node, tmp_path, request.node.name)
    yield from play(found, InstalledOperator(node.cluster, node.apiserver, NAMESPACE))


def test_with_the_charts_own_values_a_version_is_promoted_and_no_request_is_lost(
    everywhere: Scenario,
) -> None:
    serve(everywhere, "v1", TERMS)

    change(everywhere, "v2", TERMS)
    everywhere.wait(phase("Guarding"), READY_SECONDS)
    healthy = everywhere.wait(phase("Healthy"), READY_SECONDS)

    assert healthy["status"]["stable"]["version"] == "v2"
    report = everywhere.stop_load()
    assert not report.failures, report.describe_failures()
    assert report.last_version == "v2"
