"""The operator as a sync tool installs it from Git, and an upgrade of it within a rollout."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from testbed.addons.helm import RELEASE, load_operator, render_chart, use_image
from testbed.cluster.cluster import make_list
from testbed.operators.account import find_rights
from testbed.operators.installed import InstalledOperator, make_values
from testbed.programs.progress import Progress
from testbed.rights.ledger import note_granted, note_spared
from testbed.scenario.plays import serve
from testbed.scenario.scenario import Scenario
from tests.e2e.test_upgrade import (
    ROUTERS,
    SLOW,
    assert_no_pod_was_made_twice,
    begin_rollout,
    finish_rollout,
    runs_earlier,
)

Json = dict[str, Any]
Publish = Callable[[Json], None]


@dataclass(slots=True)
class SyncedOperator(InstalledOperator):
    """An operator of which Git has the values; `publish` commits them and waits for the sync."""

    publish: Publish = lambda _values: None
    release: Callable[[], None] = lambda: None
    "Has the tool leave the operator alone from now on."

    def install(self) -> None:
        """Commit the first values; returns when they are synced, which is before it is ready."""
        load_operator(self.cluster, Progress())
        self.cluster.kubectl("create", "namespace", self.namespace)
        self._publish(self.values)

    def upgrade(self, values: Json) -> None:
        """Commit other values; returns when that operator is the only one."""
        self._publish(values)
        self._wait_until_replaced()

    def remove(self) -> None:
        """Stop it, and leave nothing of it; the tool has to have let go of it before."""
        self.release()
        self.stop()
        made = make_list(render_operator(self.values, self.namespace))
        self.cluster.kubectl("delete", "--ignore-not-found", "-f", "-", stdin=made)
        self.cluster.kubectl("delete", "namespace", self.namespace, "--wait=false")

    def _publish(self, values: Json) -> None:
        self.values = values
        note = note_granted if self.tested else note_spared
        note(self.cluster, find_rights(render_operator(values, self.namespace)))
        self.publish(values)


def render_operator(values: Json, namespace: str) -> list[Json]:
    """The chart's objects, but for those that are a test of it."""
    objects = render_chart(use_image(values), namespace, release=RELEASE)
    return [found for found in objects if not is_hook(found)]


def is_hook(found: Json) -> bool:
    """Whether Helm runs it at some moment, and it is no part of what is installed."""
    return "helm.sh/hook" in (found["metadata"].get("annotations") or {})


def upgrade_in_a_rollout(scenario: Scenario) -> None:
    """The tool replaces the earlier operator while v2 is tried; no pod and no request is lost."""
    operator = scenario.operator
    assert isinstance(operator, SyncedOperator)
    serve(scenario, "v1", SLOW, replicas=2)
    assert runs_earlier(operator)
    tried = begin_rollout(scenario, "v2")

    operator.upgrade(make_values(scenario.namespace, routers=ROUTERS))

    assert not runs_earlier(operator)
    assert finish_rollout(scenario, tried) == tried
    report = scenario.stop_load()
    assert not report.failures, report.describe_failures()
    assert_no_pod_was_made_twice(scenario, replicas=2, revisions=2)
