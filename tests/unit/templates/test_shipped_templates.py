from pathlib import Path
from typing import Any

import pytest
import yaml
from canarium.api import parse_template
from canarium.cli.commands.templates import read_templates
from canarium.cli.main import main
from canarium.core.spec import PrometheusQuery
from canarium.metrics.sessions.readers import check_query

TEMPLATES = read_templates()
PAGE = Path(__file__).parents[3] / "docs" / "metrics.md"


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_shipped_template_can_be_used(name: str) -> None:
    body = yaml.safe_load(TEMPLATES[name])
    assert (body["kind"], body["metadata"]) == ("ClusterMetricTemplate", {"name": name})
    spec = parse_template(body["spec"])
    assert isinstance(spec.query, PrometheusQuery)
    types = {argument.name: argument.type for argument in spec.arguments}
    assert check_query(spec.query, types) == ()


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_shipped_template_is_documented(name: str) -> None:
    assert f"| `{name}` |" in PAGE.read_text()


def print_templates(*names: str) -> int:
    return main(["templates", *names])


def test_all_are_printed_for_kubectl(capsys: pytest.CaptureFixture[str]) -> None:
    assert print_templates() == 0
    printed: list[Any] = list(yaml.safe_load_all(capsys.readouterr().out))
    assert [body["metadata"]["name"] for body in printed] == list(TEMPLATES)


def test_one_is_printed_and_an_unknown_name_tells_the_known_ones(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert print_templates("accuracy") == 0
    assert capsys.readouterr().out == TEMPLATES["accuracy"]
    assert print_templates("acuracy") == 2
    assert "no template acuracy; there are: accuracy, cpu-saturation" in capsys.readouterr().err
