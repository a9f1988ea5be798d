"""One object never stops another: any object that the real apiserver takes, beside a healthy one.

Objects are drawn from the CRD's own schema, a real apiserver says which of them it would store, and
those go into the simulated cluster, where the operator's real code projects, plans, measures,
notifies and carries them out. `make fuzz` draws many more; docs/contributing/testing.md has the
figures.
"""

from __future__ import annotations

import copy
import itertools
import os
import random
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import strategies as st

from testbed.cluster.cluster import Cluster
from testbed.cluster.fixtures import control_plane
from tests.fuzz.drawing import Change, Places, draw, has, make_change, make_marks, put
from tests.fuzz.playing import noting, serve_beside
from tests.fuzz.schemas import list_nodes
from tests.fuzz.tokens import COMMANDS, ODD, TIMES
from tests.fuzz.validating import Validator
from tests.simulated.play import make_manifest
from tests.unit.api.specs import complete, plain

__all__ = ["control_plane"]

Json = dict[str, Any]

pytestmark = pytest.mark.xdist_group("api")

ROOT = Path(__file__).parents[2]
OBJECTS_DRAWN = int(os.environ.get("FUZZ_OBJECTS", "1000"))
SEED = int(os.environ.get("FUZZ_SEED", "0"))
"Of the first object: always the same, but for `make fuzz`."
AT_ONCE = 40
"Objects that are beside the healthy one at a time."
TRIES = 3
"So often a place is tried until the apiserver takes an object."

CRD = yaml.safe_load((ROOT / "crds/canarium.dev_modeldeployments.yaml").read_text())
SCHEMA = CRD["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
NODES = list(list_nodes(SCHEMA))
PLACES = Places(NODES)
WHOLE = complete()["spec"]
ANNOTATIONS = (
    *(f"canarium.dev/{verb}" for verb in ("promote", "abort", "retry", "restart", "rollback")),
    *("canarium.dev/commit-time",) * 3,
    "canarium.dev/git-revision", "kubernetes.io/change-cause",
    "argocd.argoproj.io/tracking-id", "meta.helm.sh/release-name", "meta.helm.sh/release-namespace",
)  # fmt: skip
LABELS = tuple(
    f"{tool}.toolkit.fluxcd.io/{part}"
    for tool in ("kustomize", "helm")
    for part in ("name", "namespace")
)
MARKS = make_marks(ANNOTATIONS, (*TIMES, *COMMANDS, *ODD))
LABEL_MARKS = st.dictionaries(
    st.sampled_from(LABELS), st.sampled_from(("", "a", "A.b_c", "a" * 63, "9" * 63)), max_size=2
)
COSTLY = frozenset({"analysis", "experiment"})
FILLERS = ("", "-long" * 9, "-" * 60 + "0", "0" * 60)
LONGEST_NAME = 52


def make_bases() -> tuple[Json, ...]:
    """Right objects of which one each is changed.

    The one with every field is such that its rollout begins: it is not paused, the simulated
    gateway can do what its steps ask for, and it is measured from its first pod on.
    """
    whole = complete()
    rollout = whole["spec"]["rollout"]
    rollout["paused"] = False
    rollout["analysis"] |= {"interval": "5s", "initialDelay": "0s", "onNoData": "Hold"}
    for metric in rollout["analysis"]["metrics"]:
        metric.pop("source", None)
        metric.get("vsStable", {}).pop("minRatio", None)
        if "interval" in metric:
            metric["interval"] = "1s"
    del rollout["experiment"]["sticky"]
    whole["spec"]["traffic"]["parentRefs"] = make_manifest()["spec"]["traffic"]["parentRefs"]
    for header in (each for step in rollout["steps"] for each in step.get("headers", ())):
        header["type"] = "Exact"
    return plain(), whole, make_manifest()


BASES = make_bases()


def make_object(number: int, changes: list[Change]) -> Json:
    """The object of a number: one of the right ones, with some things changed."""
    body, name = copy.deepcopy(choose_base(number, changes)), make_name(number)
    trim(body["spec"], [change.path for change in changes])
    if "traffic" in body["spec"]:
        body["spec"]["traffic"]["hostnames"] = [f"{name}.example.com"]
    body["metadata"] = {
        "name": name,
        "namespace": "risk",
        "annotations": draw(MARKS, number) if number % 2 else {},
        "labels": draw(LABEL_MARKS, number) if number % 5 == 0 else {},
    }
    for change in changes:
        put(body["spec"], SCHEMA, change, WHOLE)
    return body


def choose_base(number: int, changes: list[Change]) -> Json:
    """Each in its turn; but mostly one that has what the changes are about, and what that needs."""
    base = BASES[number % len(BASES)]
    known = all(has(base["spec"], change.path[:-1]) for change in changes)
    return base if known or number % 4 == 0 else BASES[1]


def trim(spec: Json, paths: list[tuple[str | int, ...]]) -> None:
    """Leave out what costs most to play, where the changes are about something else."""
    if all(path[0] != "scaling" for path in paths) and "metrics" in spec.get("scaling", {}):
        spec["scaling"] = {"replicas": 2}
    rollout = spec.get("rollout", {})
    if "experiment" in rollout and not any(COSTLY.intersection(path[1:2]) for path in paths):
        del rollout["experiment"]
        rollout["analysis"]["metrics"] = rollout["analysis"]["metrics"][:2]


def make_name(number: int) -> str:
    """A name as short as may be, or as long."""
    name = f"m{number}"
    filler = FILLERS[number // len(BASES) % len(FILLERS)][: LONGEST_NAME - len(name)]
    return name + (filler[:-1] + "0" if filler.endswith("-") else filler)


def draw_objects(count: int, start: int) -> Generator[Json, bool, None]:
    """So many objects; who takes them sends back whether the apiserver did.

    The first of a place has other changes too; when it isn't taken, the place is tried alone.
    """
    chance = random.Random(start)
    numbers = iter(range(start, start + count))
    for place in PLACES.take_turns(chance):
        others = [PLACES.choose(chance) for _ in range(chance.randrange(3))]
        for _ in range(TRIES):
            number = next(numbers, None)
            if number is None:
                return
            at = enumerate([*others, place])
            changes = [make_change(each, number * 4 + part) for part, each in at]
            if (yield make_object(number, changes)):
                break
            others = []


def draw_stored(validator: Validator, count: int, start: int) -> Iterator[tuple[int, Json]]:
    """What the apiserver would store of so many objects, each with how many were drawn by then."""
    drawn = draw_objects(count, start)
    body = next(drawn)
    for asked in range(1, count + 1):
        stored = validator.judge(body)
        if stored is not None:
            yield asked, stored
        if asked < count:
            body = drawn.send(stored is not None)


@pytest.fixture(scope="module")
def validator(control_plane: Cluster) -> Iterator[Validator]:
    control_plane.kubectl("apply", "-f", "crds/")
    control_plane.kubectl(
        "wait", "--for=condition=Established", "crd/modeldeployments.canarium.dev", "--timeout=90s"
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
    stored = draw_stored(validator, OBJECTS_DRAWN, SEED)
    with noting(monkeypatch) as noted:
        for batch in make_batches(stored):
            serve_beside([body for _, body in batch], edited=batch[0][0] % 2 > 0)
            assert noted == [], f"among the first {batch[-1][0]} of seed {SEED}: {noted}"


def make_batches(stored: Iterator[tuple[int, Json]]) -> Iterator[list[tuple[int, Json]]]:
    """So many as are played at once; the last ones may be fewer."""
    while batch := list(itertools.islice(stored, AT_ONCE)):
        yield batch
