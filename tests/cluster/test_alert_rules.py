"""Every alert fires when it has to and is silent when it has to, by Prometheus' own promtool."""

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from testbed.addons.prometheus import find_promtool
from testbed.programs.processes import ClusterError
from testbed.programs.progress import Progress

pytestmark = [pytest.mark.timeout(600)]  # it may have to be fetched
ROOT = Path(__file__).parents[2]
RULES = ROOT / "charts/canarium/files/alerts.yaml"
CASES = sorted(Path(__file__).parent.glob("alert_cases*.yaml"))
Json = dict[str, Any]


def list_alerts() -> list[Json]:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"] if "alert" in rule]


def list_cases() -> list[Json]:
    tests = [test for path in CASES for test in yaml.safe_load(path.read_text())["tests"]]
    return [case for test in tests for case in test["alert_rule_test"]]


@pytest.fixture(scope="module")
def promtool() -> Path:
    try:
        return find_promtool(Progress())
    except ClusterError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(error))


def run(promtool: Path, *words: str) -> str:
    """What promtool says; fails with it when promtool does."""
    command = [str(promtool), *words]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_prometheus_takes_every_rule(promtool: Path) -> None:
    assert "SUCCESS" in run(promtool, "check", "rules", str(RULES))


@pytest.mark.timeout(600, func_only=True)  # a quarter of a minute of CPU, beside other tests
def test_every_alert_fires_in_its_cases_and_in_no_others(promtool: Path, tmp_path: Path) -> None:
    rules = yaml.safe_load(RULES.read_text())
    for group in rules["groups"]:
        for rule in group["rules"]:
            rule.pop("annotations", None)  # promtool compares their text, which would say it twice
    (tmp_path / "alerts.yaml").write_text(yaml.safe_dump(rules))
    files = [tmp_path / path.name for path in CASES]
    for path, file in zip(CASES, files, strict=True):
        file.write_text(path.read_text())

    run(promtool, "test", "rules", *map(str, files))


def test_every_alert_has_cases_in_which_it_fires_and_in_which_it_does_not() -> None:
    names = {alert["alert"] for alert in list_alerts()}
    fires = {case["alertname"] for case in list_cases() if case["exp_alerts"]}
    silent = {case["alertname"] for case in list_cases() if not case["exp_alerts"]}

    assert (fires, silent) == (names, names)


@pytest.mark.parametrize("alert", list_alerts(), ids=lambda alert: alert["alert"])
def test_an_alert_says_what_is_wrong_how_bad_it_is_and_where_its_runbook_is(alert: Json) -> None:
    page, _, anchor = alert["annotations"]["runbook"].partition("#")
    headings = re.findall(r"^#+ (\w+)$", (ROOT / page).read_text(), re.MULTILINE)

    assert set(alert["annotations"]) == {"summary", "description", "runbook"}
    assert alert["labels"]["severity"] in ("critical", "warning", "info")
    assert anchor in [heading.lower() for heading in headings]
    assert alert["alert"] in headings
