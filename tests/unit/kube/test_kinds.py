from dataclasses import fields
from pathlib import Path
from typing import get_args

import pytest
import yaml
from canarium.core.observed import Observed
from canarium.core.plan import SIZING_KINDS, ScalerKind
from canarium.core.spec import TemplateKind
from canarium.errors import ApiError
from canarium.kube.boundary import Boundary
from canarium.kube.informers.projections import NEIGHBOURS, make_projections
from canarium.kube.kinds import (
    DEPLOYMENTS,
    GATEWAYS,
    MODEL_DEPLOYMENTS,
    PODS,
    ROUTES,
    SCALERS,
    SWITCHES,
    TABLE,
    TEMPLATES,
)
from canarium.routing import ROUTERS

from testbed.addons.chart_rules import RULES, render_rules
from tests.unit.kube.rights import Right, list_given, list_needed
from tests.unit.kube.wire import Json

ROOT = Path(__file__).parents[3]
GOLDEN = ROOT / "tests" / "golden" / "chart"
BINDINGS = ("ClusterRoleBinding", "RoleBinding")
CASES = sorted(path.parent.name for path in GOLDEN.glob("*/values.yaml"))


@pytest.mark.parametrize(
    ("path", "want"),
    [
        (PODS.path(), "/api/v1/pods"),
        (PODS.path("risk"), "/api/v1/namespaces/risk/pods"),
        (DEPLOYMENTS.path("risk", "a"), "/apis/apps/v1/namespaces/risk/deployments/a"),
        (
            MODEL_DEPLOYMENTS.path("risk", "a", "status"),
            "/apis/canarium.dev/v1alpha1/namespaces/risk/modeldeployments/a/status",
        ),
        (
            GATEWAYS.path("a b", "c?x#y"),
            "/apis/gateway.networking.k8s.io/v1/namespaces/a%20b/gateways/c%3Fx%23y",
        ),
    ],
)
def test_a_name_never_changes_what_a_path_means(path: str, want: str) -> None:
    assert path == want


@pytest.mark.parametrize("name", ["", ".", "..", "a/status", "../b", "a%2Fstatus", "%2e%2e"])
def test_what_can_never_be_a_name_is_refused_before_anything_is_sent(name: str) -> None:
    with pytest.raises(ApiError, match="cannot be part of an object's path"):
        PODS.path("risk", name)
    with pytest.raises(ApiError, match="cannot be part of an object's path"):
        PODS.path(name, "a")


def read_values(case: str) -> Json:
    """The chart's values with those of a golden case over them."""
    values = yaml.safe_load((ROOT / "charts/canarium/values.yaml").read_text())
    return merge(values, yaml.safe_load((GOLDEN / case / "values.yaml").read_text()))


def merge(values: Json, over: Json) -> Json:
    return values | {
        key: merge(values[key], value) if isinstance(values.get(key), dict) else value
        for key, value in over.items()
    }


def read_given(case: str) -> set[Right]:
    """What the operator's account is given by a rendered chart."""
    text = (GOLDEN / case / "rendered.yaml").read_text()
    objects = [item for item in yaml.safe_load_all(text) if item]
    bound = {item["roleRef"]["name"] for item in objects if item["kind"] in BINDINGS}
    return list_given(objects, bound)


def test_the_rules_of_the_chart_are_those_that_the_table_makes() -> None:
    assert RULES.read_text() == render_rules()


@pytest.mark.parametrize("case", CASES)
def test_the_chart_gives_the_rights_that_the_table_asks_for_and_no_others(case: str) -> None:
    needed, given = list_needed(TABLE, read_values(case), SWITCHES), read_given(case)
    assert (sorted(needed - given), sorted(given - needed)) == ([], [])


def test_every_switch_of_the_table_is_on_in_one_render_and_off_in_another() -> None:
    switches = {switch for switch in (*SWITCHES.values(), *(row.value for row in TABLE)) if switch}
    for switch in switches:
        part, name = switch.split(".")
        assert {bool(read_values(case)[part][name]) for case in CASES} == {True, False}, switch


def test_a_plan_has_a_field_for_each_of_the_tables() -> None:
    has = {field.name for field in fields(Observed)}
    assert {row.observed for row in TABLE if row.observed} <= has
    assert {row.kind for row in TABLE if row.written and not row.observed} == set()


def test_what_the_core_names_of_kinds_is_what_the_table_has() -> None:
    assert set(TEMPLATES) == set(get_args(TemplateKind))
    assert set(SCALERS) == set(get_args(ScalerKind))
    assert set(SIZING_KINDS) == {*SCALERS, "PodDisruptionBudget"}
    assert set(ROUTES) == {kind for router in ROUTERS.values() for kind in router.route_kinds}
    assert set(NEIGHBOURS) == {row.kind for row in TABLE if row.neighbours}


def test_each_kind_that_is_watched_is_in_one_row() -> None:
    watched = [row.kind for row in TABLE if row.selector is not None or row.written]
    assert sorted(watched) == sorted(set(watched))


def test_every_kind_that_is_watched_has_a_record_or_is_a_child_of_which_the_spec_matters() -> None:
    known = {*make_projections(Boundary()), "CustomResourceDefinition"}
    plain = {row.kind for row in TABLE if row.selector is not None} - known
    assert plain == {"PodDisruptionBudget"}
    assert all(row.written for row in TABLE if row.kind in plain)
