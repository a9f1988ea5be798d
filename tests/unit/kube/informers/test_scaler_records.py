import json
from typing import Any, get_args

import pytest
from canarium.core.observed import ChildRecord, Meta, Owner, ScalerCondition, ScalerRecord
from canarium.core.plan import ScalerKind
from canarium.kube.informers.cache import Cache
from canarium.kube.informers.projections.autoscalers import (
    make_scaler_projection,
    scaler_key,
)
from canarium.kube.informers.projections.children import project_child
from canarium.kube.informers.store import Key
from canarium.kube.kinds import SCALERS

from tests.unit.kube.wire import LABELS, MODEL_UID, REVISION, Json, dump, make_object, owned_by

OURS = f"fraud-{REVISION}"
DEPLOYMENT: Json = {"apiVersion": "apps/v1", "kind": "Deployment", "name": OURS}
MODEL: Json = {"apiVersion": "canarium.dev/v1alpha1", "kind": "ModelDeployment", "name": "fraud"}
project_hpa = make_scaler_projection("HorizontalPodAutoscaler")
project_scaled_object = make_scaler_projection("ScaledObject")


def make_hpa(target: Json, name: str = "somebodys", **metadata: Any) -> Json:
    """Somebody's autoscaler, without our labels unless they are given."""
    metadata = {"labels": {}} | metadata
    spec = {"scaleTargetRef": target, "minReplicas": 2, "maxReplicas": 9}
    return make_object("HorizontalPodAutoscaler", name, metadata=metadata, spec=spec)


def find_key(target: Json, **metadata: Any) -> Key | None:
    return scaler_key(project_hpa(dump(make_hpa(target, **metadata))))


def test_an_autoscaler_keeps_its_spec_as_the_apiserver_wrote_it_and_what_it_says() -> None:
    body = make_hpa(DEPLOYMENT, OURS, labels=LABELS, ownerReferences=owned_by())
    condition = {"type": "AbleToScale", "status": "True", "reason": "Ready", "message": "fine"}
    body["status"] = {"conditions": [{**condition, "lastTransitionTime": "2023-11-14T22:13:20Z"}]}
    owner = Owner("ModelDeployment", "fraud", MODEL_UID)
    assert project_hpa(dump(body)) == ScalerRecord(
        meta=Meta("risk", OURS, f"uid-of-{OURS}", "1", labels=LABELS, owner=owner),
        kind="HorizontalPodAutoscaler",
        target_kind="Deployment",
        target_name=OURS,
        spec=json.dumps(body["spec"]).encode(),
        conditions=(ScalerCondition("AbleToScale", "True", "Ready", "fine"),),
    )


def test_a_scaled_object_that_names_no_kind_aims_at_a_deployment() -> None:
    body = make_object("ScaledObject", "x", spec={"scaleTargetRef": {"name": OURS}})
    record = project_scaled_object(dump(body))
    assert (record.kind, record.target_kind, record.target_name, record.conditions) == (
        "ScaledObject",
        "Deployment",
        OURS,
        (),
    )


def test_a_budget_keeps_its_spec_as_the_apiserver_wrote_it() -> None:
    spec = {"maxUnavailable": "10%", "selector": {"matchLabels": LABELS}}
    body = make_object("PodDisruptionBudget", "fraud", spec=spec)
    assert project_child(dump(body)) == ChildRecord(
        Meta("risk", "fraud", "uid-of-fraud", "1", labels=LABELS), json.dumps(spec).encode()
    )


@pytest.mark.parametrize(
    ("target", "model"),
    [
        (DEPLOYMENT, "fraud"),
        (MODEL, "fraud"),
        (MODEL | {"apiVersion": "canarium.dev/v1"}, "fraud"),
        (DEPLOYMENT | {"name": f"two-words-{REVISION}"}, "two-words"),
    ],
)
def test_somebodys_autoscaler_concerns_the_model_that_it_aims_at(target: Json, model: str) -> None:
    assert find_key(target) == ("risk", model)


@pytest.mark.parametrize(
    "target",
    [
        DEPLOYMENT | {"name": "fraud"},
        DEPLOYMENT | {"name": f"fraud-{REVISION}0"},
        DEPLOYMENT | {"name": "fraud-5D8F7C9B64"},
        DEPLOYMENT | {"name": f"-{REVISION}"[1:]},
        DEPLOYMENT | {"apiVersion": "example.com/v1"},
        DEPLOYMENT | {"kind": "StatefulSet"},
        MODEL | {"apiVersion": "example.com/v1"},
    ],
)
def test_what_aims_at_nothing_that_could_be_ours_is_nobodys_concern(target: Json) -> None:
    assert find_key(target) is None


def test_one_of_ours_that_somebody_aimed_elsewhere_still_belongs_to_its_model() -> None:
    aimed = DEPLOYMENT | {"name": f"other-{REVISION}"}
    found = find_key(aimed, labels=LABELS, ownerReferences=owned_by())
    assert found == ("risk", "fraud")


def test_labels_that_were_copied_with_ours_do_not_hide_whom_an_autoscaler_aims_at() -> None:
    aimed = DEPLOYMENT | {"name": f"other-{REVISION}"}
    assert find_key(aimed, labels=LABELS) == ("risk", "other")


def test_one_that_kedas_operator_made_for_ours_concerns_the_same_model() -> None:
    owners = owned_by("uid-of-it", kind="ScaledObject", name=OURS)
    assert find_key(DEPLOYMENT, labels=LABELS, ownerReferences=owners) == ("risk", "fraud")


def test_an_autoscaler_that_is_nobodys_concern_is_not_kept_and_wakes_nobody() -> None:
    woken: list[Key] = []
    store = Cache(woken.append).scalers["HorizontalPodAutoscaler"]
    store.put(project_hpa(dump(make_hpa(DEPLOYMENT | {"name": "web"}))))
    assert (len(store), woken) == (0, [])


def test_who_was_aimed_at_hears_of_it_when_an_autoscaler_turns_away() -> None:
    woken: list[Key] = []
    store = Cache(woken.append).scalers["HorizontalPodAutoscaler"]
    away = DEPLOYMENT | {"name": "web"}
    for version, target in enumerate((DEPLOYMENT, away, away, DEPLOYMENT), start=1):
        store.put(project_hpa(dump(make_hpa(target, resourceVersion=str(version)))))
    assert woken == [("risk", "fraud")] * 3
    assert store.of(("risk", "fraud"))[0].meta.resource_version == "4"


def test_every_kind_of_autoscaler_has_its_place() -> None:
    assert set(SCALERS) == set(get_args(ScalerKind))
