"""What can be said of dashboards and rules without Grafana or Prometheus."""

import json
import re
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml
from canarium.queries.profiles import PROFILES
from canarium.shell.metrics_reference import list_metrics

from observability.alerts import GROUPS
from observability.files import CHART, DASHBOARDS, find_stale, render_files
from observability.grafana import COLUMNS, Panel, Query, Row, render
from observability.rules import Record

Json = dict[str, Any]
RENDERED = [render(each) for each in DASHBOARDS]
OF_EVERY_CLIENT = {
    "process_resident_memory_bytes",
    "process_cpu_seconds_total",
    "process_open_fds",
}


def panels_of(dashboard: Json) -> list[Json]:
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def queries_of(dashboard: Json) -> Iterator[str]:
    for panel in panels_of(dashboard):
        yield from (target["expr"] for target in panel["targets"])
    yield from (mark["expr"] for mark in dashboard["annotations"]["list"])
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["query"]["query"]


def list_expressions() -> Iterator[str]:
    """Every query of dashboards, and of rules but those that read servers' own counters."""
    for dashboard in RENDERED:
        yield from queries_of(dashboard)
    for rules in GROUPS.values():
        yield from (rule.expr for rule in rules if "__name__" not in rule.expr)


def test_the_files_in_the_chart_are_those_that_are_described() -> None:
    assert find_stale(CHART) == []


def test_a_file_that_was_edited_is_missing_or_is_left_over_is_found(tmp_path: Path) -> None:
    for path, text in render_files().items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    assert find_stale(tmp_path) == []

    (tmp_path / "alerts.yaml").write_text("groups: []\n")
    (tmp_path / "dashboards/canarium-fleet.json").unlink()
    (tmp_path / "dashboards/old.json").write_text("{}")

    names = ["alerts.yaml", "dashboards/canarium-fleet.json", "dashboards/old.json"]
    assert find_stale(tmp_path) == [Path(name) for name in names]


def test_every_series_that_is_asked_for_exists() -> None:
    known = {entry.name for entry in list_metrics()} | OF_EVERY_CLIENT
    known |= {rule.name for rules in GROUPS.values() for rule in rules if isinstance(rule, Record)}

    asked = {
        re.sub("_(bucket|count|sum)$", "", name)
        for expr in list_expressions()
        for name in re.findall(r"\b(?:canarium[_:]|process_)[a-z0-9_:]+", expr)
    }

    assert asked <= known
    assert len(asked) > 30


def test_every_metric_of_models_is_on_a_dashboard() -> None:
    shown = " ".join(expr for dashboard in RENDERED for expr in queries_of(dashboard))

    unseen = {entry.name for entry in list_metrics() if entry.name not in shown}

    assert unseen == {
        "canarium_models",  # the dashboards count by namespace instead
        "canarium_write_failures_total",  # what is refused now is told of the models
        "canarium_rollbacks_total",  # told of the ModelRevisions, with the model's name
        "canarium_rollout_step_started_timestamp_seconds",  # for alerts
        "canarium_rollout_step_hold_seconds",
        "canarium_revision_pods",  # beside replicas
        "canarium_internal_errors_total",  # a fault of the operator's own, told of its object
        "canarium_revision_measured_pods",
        "canarium_revision_gpus_requested",  # few have any
        "canarium_revision_gpus_used",
        "canarium_revision_cost_per_thousand_predictions",
    }


def test_every_query_uses_only_variables_that_the_dashboard_has() -> None:
    of_grafana = {"__rate_interval", "__range_s", "__from"}
    for dashboard in RENDERED:
        known = {each["name"] for each in dashboard["templating"]["list"]} | of_grafana
        used = {
            name for expr in queries_of(dashboard) for name in re.findall(r"\$(?!\d)(\w+)", expr)
        }
        assert used <= known, dashboard["uid"]


def test_uids_titles_and_panels_are_each_unique_and_described() -> None:
    assert len({dashboard["uid"] for dashboard in RENDERED}) == len(RENDERED)
    assert len({dashboard["title"] for dashboard in RENDERED}) == len(RENDERED)
    for dashboard in RENDERED:
        ids = [panel["id"] for panel in dashboard["panels"]]
        assert ids == list(range(1, len(ids) + 1))
        assert "id" not in dashboard
        for panel in panels_of(dashboard):
            assert panel["description"].endswith("."), panel["title"]
            assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]


def cells(panel: Json) -> set[tuple[int, int]]:
    place = panel["gridPos"]
    return {
        (x, y)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    }


def test_no_two_panels_overlap_and_none_hangs_over_the_edge() -> None:
    for dashboard in RENDERED:
        taken = [cells(panel) for panel in dashboard["panels"]]
        assert all(x < COLUMNS for each in taken for x, _ in each)
        assert not any(one & other for one, other in combinations(taken, 2)), dashboard["uid"]


def test_panels_go_on_below_when_a_line_is_full() -> None:
    panel = Panel("p", "d.", [Query("up")], width=16, height=5)
    dashboard = render(type(DASHBOARDS[0])("u", "t", "d", (), (Row("r", (panel, panel)),)))

    assert [each["gridPos"] for each in dashboard["panels"]] == [
        {"x": 0, "y": 0, "w": 24, "h": 1},
        {"x": 0, "y": 1, "w": 16, "h": 5},
        {"x": 0, "y": 6, "w": 16, "h": 5},
    ]


def test_links_between_dashboards_name_ones_that_exist() -> None:
    uids = {dashboard["uid"] for dashboard in RENDERED}

    named = set(re.findall(r"/d/([\w-]+)", json.dumps(RENDERED)))

    assert named == {"canarium-model"} <= uids


@pytest.mark.parametrize("name", PROFILES)
def test_every_profile_has_a_rule_for_each_figure_that_its_server_tells(name: str) -> None:
    rules = yaml.safe_load((CHART / "alerts.yaml").read_text())["groups"][0]["rules"]
    found = {r["record"] for r in rules if r.get("labels", {}).get("profile") == name}
    profile = PROFILES[name]

    latencies = {f"canarium:server_latency_seconds:{q}_5m" for q in ("p50", "p99")}
    assert found == {
        "canarium:server_requests:rate5m",
        *({"canarium:server_errors:rate5m"} if profile.counts_errors else set()),
        *(latencies if profile.duration else set()),
    }
