"""One object never stops another: any object that the real apiserver takes, beside a healthy one.

Objects are drawn from the CRD's own schema, a real apiserver says which of them it would store, and
those go into the simulated cluster, where the operator's real code projects, plans and carries them
out. `make fuzz` draws many more; docs/testing.md has the figures.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from canarium.kube.boundary import Boundary
from canarium.sim.simulation import Simulation
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from tests.cluster.cluster import Cluster
from tests.cluster.fixtures import control_plane
from tests.fuzz.schemas import list_nodes, make_values, put
from tests.fuzz.validating import Validator
from tests.simulated.play import KEY, make_manifest
from tests.unit.api.specs import complete, plain

__all__ = ["control_plane"]

Json = dict[str, Any]

pytestmark = pytest.mark.xdist_group("api")

ROOT = Path(__file__).parents[2]
OBJECTS_DRAWN = int(os.environ.get("FUZZ_OBJECTS", "2000"))
AT_ONCE = 40
"Objects that are beside the healthy one at a time."
SECONDS = 90.0
MOST_WRITES = 300
"Of one object within that time: a first rollout is some forty."

CRD = yaml.safe_load((ROOT / "crds/canarium.dev_modeldeployments.yaml").read_text())
SCHEMA = CRD["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
NODES = list(list_nodes(SCHEMA))
WHOLE = complete()["spec"]
BASES = (plain(), complete(), make_manifest())
ANNOTATIONS = (
    *(f"canarium.dev/{verb}" for verb in ("promote", "abort", "retry", "restart", "rollback")),
    "canarium.dev/commit-time", "canarium.dev/git-revision", "kubernetes.io/change-cause",
    "argocd.argoproj.io/tracking-id", "meta.helm.sh/release-name", "meta.helm.sh/release-namespace",
)  # fmt: skip
TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
    st.sampled_from(
        [
            "9999-12-31T23:59:59.999999Z",
            "0001-01-01T00:00:00+14:00",
            "aaaaaaaaaa@1",
            "a:9999999999999999999@x",
            ":@",
            "@",
        ]
    ),
)


def make_changes() -> SearchStrategy[list[tuple[int, int, Any]]]:
    """A few places of spec, by their number, and what to put there."""
    change = st.sampled_from(AREAS).flatmap(st.sampled_from).flatmap(_make_change)
    return st.lists(change, min_size=1, max_size=3)


def _make_change(number: int) -> SearchStrategy[tuple[int, int, Any]]:
    return st.tuples(st.just(number), st.integers(0, 7), make_values(NODES[number][1]))


def _list_areas() -> list[list[int]]:
    """Places by the field of spec that they are below, so that no field has most of the changes."""
    areas: dict[Any, list[int]] = {}
    for number, (path, _) in enumerate(NODES):
        areas.setdefault(path[:2], []).append(number)
    return list(areas.values())


AREAS = _list_areas()


OBJECTS = st.tuples(
    st.integers(0, len(BASES) - 1),
    make_changes(),
    st.dictionaries(st.sampled_from(ANNOTATIONS), TEXTS, max_size=2),
)


def make_object(
    number: int, base: int, changes: list[tuple[int, int, Any]], annotations: Json
) -> Json:
    body = copy.deepcopy(BASES[base])
    name = f"m{number}" if number % 3 else f"m{number}{'-long' * 9}"
    body["metadata"] = {"name": name, "namespace": "risk", "annotations": annotations}
    for place, pick, value in changes:
        put(body["spec"], NODES[place][0], value, WHOLE, pick)
    return body


@pytest.fixture(scope="module")
def validator(control_plane: Cluster) -> Iterator[Validator]:
    control_plane.kubectl("apply", "-f", "crds/")
    control_plane.kubectl(
        "wait", "--for=condition=Established", "crd/modeldeployments.canarium.dev", "--timeout=30s"
    )
    existing = control_plane.kubectl("get", "namespaces", "-o", "name").split()
    if "namespace/risk" not in existing:
        control_plane.kubectl("create", "namespace", "risk")
    found = Validator(str(control_plane.kubeconfig))
    yield found
    found.close()
    print(f"{found.accepted} of {found.asked} objects were taken")


@pytest.mark.timeout(3600)
def test_any_object_that_the_apiserver_takes_leaves_the_others_served(
    validator: Validator, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted: list[str] = []

    def note(_self: Boundary, part: str, about: str, error: Exception) -> str:
        noted.append(f"{part} {about}: {error!r}")
        return original(_self, part, about, error)  # type: ignore[arg-type]

    original = Boundary.note
    monkeypatch.setattr(Boundary, "note", note)

    @settings(
        max_examples=OBJECTS_DRAWN // AT_ONCE,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
        # What fails names its object; to ask for smaller ones would take minutes.
        phases=[Phase.generate],
    )
    @given(st.lists(OBJECTS, min_size=AT_ONCE, max_size=AT_ONCE), st.booleans())
    def play(drawn: list[Any], edited: bool) -> None:
        bodies = [make_object(number, *each) for number, each in enumerate(drawn)]
        stored = [found for body in bodies if (found := validator.judge(body)) is not None]
        noted.clear()
        serve_beside(stored, edited=edited)
        assert noted == [], noted

    play()


def serve_beside(stored: list[Json], *, edited: bool) -> None:
    """Have all of them, and a healthy object that gets a new version and serves it."""
    with Simulation(remembered=100_000) as simulation:
        simulation.apply(make_manifest("1"))
        if edited:
            for body in stored:
                before = plain()
                before["metadata"] = {**body["metadata"], "annotations": {}}
                simulation.apply(strip(before))
        simulation.run_until(lambda: simulation.state(KEY) == "Idle", SECONDS)
        for body in stored:
            simulation.apply(strip(body), valid=False)
        simulation.run(10.0)
        simulation.apply(make_manifest("2"))
        simulation.run_until(lambda: serves(simulation, "2"), SECONDS)
        check(simulation, stored)


def strip(stored: Json) -> Json:
    """What a person applies: without what the apiserver adds."""
    kept = ("name", "namespace", "annotations")
    metadata = {name: value for name, value in stored["metadata"].items() if name in kept}
    return {**stored, "metadata": metadata}


def serves(simulation: Simulation, version: str) -> bool:
    stable = simulation.status(KEY).get("stable", {})
    return stable.get("version") == version and simulation.state(KEY) in ("Guarding", "Idle")


def check(simulation: Simulation, stored: list[Json]) -> None:
    """Each says something of itself, no fault of the operator's, and is left alone mostly."""
    writes = dict.fromkeys((body["metadata"]["name"] for body in stored), 0)
    for write in simulation.writes:
        name = write.key[1]
        owner = next((each for each in (name, name.rpartition("-")[0]) if each in writes), None)
        if owner is not None:
            writes[owner] += 1
    for body in stored:
        name = body["metadata"]["name"]
        status = simulation.status(("risk", name))
        assert status.get("conditions"), (name, body)
        assert status["reason"] != "InternalError", (name, status["message"], body)
        assert writes[name] <= MOST_WRITES, (name, writes[name], status["message"], body)
