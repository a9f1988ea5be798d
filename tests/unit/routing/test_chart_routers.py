"""The chart knows each router as the operator does: its switch and who shares its entrance."""

from __future__ import annotations

import json

import pytest
import yaml
from canarium.routing import ROUTERS, Router

from testbed.addons.chart_files import ROUTERS_FILE, make_routers
from testbed.addons.helm import CHART

SWITCHES = [router.setting for router in ROUTERS.values() if router.routes]


def test_what_the_templates_range_over_is_generated_from_the_registry() -> None:
    assert ROUTERS_FILE.read_text() == make_routers(), "make chart"


@pytest.mark.parametrize("router", ROUTERS.values(), ids=ROUTERS.keys())
def test_a_router_with_kinds_of_its_own_has_a_switch_and_says_who_shares_its_entrance(
    router: Router,
) -> None:
    assert bool(router.setting) == bool(router.entrance) == bool(router.routes)
    assert router.entrance.endswith(":") or not router.routes


def test_every_switch_is_among_the_values_and_in_their_schema() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    schema = json.loads((CHART / "values.schema.json").read_text())
    assert list(values["routers"]) == SWITCHES
    assert list(schema["properties"]["routers"]["properties"]) == SWITCHES


@pytest.mark.parametrize("name", sorted(path.name for path in (CHART / "templates").glob("*.*")))
def test_no_template_names_what_is_in_the_list(name: str) -> None:
    """But for Gateway API, through which alone Services and Gateways lead."""
    text = (CHART / "templates" / name).read_text()
    assert [r.name for r in ROUTERS.values() if r.stands_in and r.name in text] == []
