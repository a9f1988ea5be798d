"""Every dashboard is one that Grafana's own schema knows, down to the options of each panel."""

import copy
import json
import os
from pathlib import Path
from typing import Any

import pytest

from testbed.addons.grafana_model import GrafanaModel, find_sdk
from testbed.programs.processes import ClusterError
from testbed.programs.progress import Progress

pytestmark = [pytest.mark.timeout(600)]  # it may have to be fetched
FILES = sorted((Path(__file__).parents[2] / "charts/canarium/files/dashboards").glob("*.json"))
FLEET = next(path for path in FILES if path.stem == "canarium-fleet")
Json = dict[str, Any]


@pytest.fixture(scope="module")
def grafana() -> GrafanaModel:
    try:
        return GrafanaModel(find_sdk(Progress()))
    except ClusterError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(error))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_dashboard_is_as_grafanas_schema_has_it(grafana: GrafanaModel, path: Path) -> None:
    assert grafana.find_problems(json.loads(path.read_text())) == []


@pytest.mark.parametrize(
    ("where", "value", "words"),
    [
        (("panels", 1, "gridPos", "w"), "4", ".panels[1].grid_pos.w is '4'"),
        (("panels", 1, "options", "textMode"), "big", "options.text_mode is 'big'"),
        (("panels", 1, "options", "textSize"), 4, ".panels[1].options.textSize is no field"),
        (("panels", 1, "targets", 0, "expression"), "up", "expression is no field"),
        (("panels", 1, "fieldConfig", "defaults", "unit"), 4, "defaults.unit is 4"),
        (("refresh",), 30, ".refresh is 30"),
        (("templating", "list", 0, "type"), "choice", "type_val is 'choice'"),
        (("annotations", "list", 0, "query"), "up", "query is no field"),
    ],
    ids=lambda value: ".".join(map(str, value)) if isinstance(value, tuple) else "",
)
def test_a_mistake_in_a_dashboard_is_found(
    grafana: GrafanaModel, where: tuple[str | int, ...], value: Any, words: str
) -> None:
    dashboard = json.loads(FLEET.read_text())

    problems = grafana.find_problems(replaced(dashboard, where, value))

    assert any(words in problem for problem in problems), problems


def replaced(dashboard: Json, where: tuple[str | int, ...], value: Any) -> Json:
    """A copy of the dashboard with another value in one place."""
    root = copy.deepcopy(dashboard)
    place: Any = root
    for step in where[:-1]:
        place = place[step]
    place[where[-1]] = value
    return root
