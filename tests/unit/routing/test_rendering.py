"""What each router renders of a split, compared with files: a split in, objects out.

Write the objects anew with CANARIUM_GOLDEN=write and read the difference before it is committed.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from canarium.routing import ROUTERS, Split
from canarium.routing.base import is_current

from tests.unit.routing.defaults import fill_defaults
from tests.unit.routing.routing import MODEL, make_split, observe

Json = dict[str, Any]
GOLDEN = Path(__file__).parents[2] / "golden" / "routing"
FILES = sorted(GOLDEN.glob("*.yaml"))


def read_cases(file: Path) -> list[Json]:
    found: list[Json] = yaml.safe_load(file.read_text())
    return found


CASES = [
    pytest.param(file.stem, case, id=f"{file.stem}-{case['case'].replace(' ', '-')}")
    for file in FILES
    for case in read_cases(file)
]


def read_split(case: Json) -> Split:
    given = {**case["split"]}
    return make_split(given.pop("traffic"), given.pop("weights"), **given)


def render(router: str, case: Json) -> list[Json]:
    routes = ROUTERS[router].make_routes(read_split(case))
    return [{"kind": c.ref.kind, "name": c.ref.name, "spec": dict(c.spec)} for c in routes]


class _Plain(yaml.SafeDumper):
    """Writes what occurs twice twice."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_routes_are_rendered_as_written_down(file: Path) -> None:
    cases = read_cases(file)
    rendered = [{**case, "objects": render(file.stem, case)} for case in cases]
    if os.environ.get("CANARIUM_GOLDEN") == "write":
        text = yaml.dump(rendered, Dumper=_Plain, sort_keys=False, width=100)
        file.write_text(text)
    assert rendered == read_cases(file)


@pytest.mark.parametrize(("router", "case"), CASES)
def test_what_was_rendered_is_current_once_the_apiserver_filled_in_its_defaults(
    router: str, case: Json
) -> None:
    split, used = read_split(case), ROUTERS[router]
    observed = fill_defaults(observe(used.make_routes(split)))
    stale = [c.ref for c in used.make_routes(split) if not is_current(observed, c)]
    assert stale == []


@pytest.mark.parametrize(("router", "case"), CASES)
def test_live_routes_tell_by_whom_they_are_served(router: str, case: Json) -> None:
    split, used = read_split(case), ROUTERS[router]
    observed = observe(used.make_routes(split))
    named = dict.fromkeys([split.canary] * bool(split.canary), 0) | dict(split.weights)
    if not used.mixes_pods:
        assert dict(used.live_weights(MODEL, observed)) == named


@pytest.mark.parametrize(("router", "case"), CASES)
def test_a_route_of_another_split_is_not_current(router: str, case: Json) -> None:
    split, used = read_split(case), ROUTERS[router]
    observed = observe(used.make_routes(make_split(case["split"]["traffic"], {"cccccccccc": 100})))
    assert not all(is_current(observed, c) for c in used.make_routes(split))


def test_every_router_is_written_down_in_every_combination() -> None:
    assert {file.stem for file in FILES} == set(ROUTERS)
    for file in FILES:
        found = {_shape(case) for case in read_cases(file)}
        assert found >= ({"first", "weights"} if file.stem == "Replicas" else SHAPES), file


SHAPES = {"first", "weights", "headers", "headers weights", "mirror", "headers mirror"}


def _shape(case: Json) -> str:
    split = read_split(case)
    parts = ["headers"] * bool(split.headers) + ["mirror"] * bool(split.mirror)
    parts += ["weights"] * (len(split.weights) > 1)
    return " ".join(parts) or "first"
