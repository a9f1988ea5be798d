import copy
import random
from typing import Any

import pytest
from canarium.core.normalise import canonical_json, normalise_source
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.api.specs import complete

Json = dict[str, Any]

PLAIN: Json = {"server": {"image": "a", "port": 8080}}


def source(**server: Any) -> Json:
    return {"server": {"image": "a", **server}}


def pod(**fields: Any) -> Json:
    return {"server": {"image": "a"}, "pod": fields}


@pytest.mark.parametrize(
    "same",
    [
        source(),
        source(port=8080),
        source(port=None),
        source(env=[], args=None, resources={}, securityContext={"runAsUser": None}),
        source(resources={"limits": {}}),
        {"server": {"image": "a"}, "model": None, "pod": {}},
        pod(labels={}, nodeSelector=None, tolerations=[], affinity={"nodeAffinity": {}}),
    ],
    ids=str,
)
def test_what_says_nothing_changes_nothing(same: Json) -> None:
    assert normalise_source(same) == PLAIN


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (source(metrics={}), source(metrics={"path": "/metrics", "profile": "Prometheus"})),
        (source(port=9000, metrics={}), source(port=9000, metrics={"port": 9000})),
        (
            source(resources={"limits": {"cpu": 1, "memory": "1024Mi"}}),
            source(resources={"limits": {"memory": "1Gi", "cpu": "1000m"}}),
        ),
        (source(env=[{"name": "A", "value": ""}]), source(env=[{"name": "A"}])),
        (
            source(volumeMounts=[{"name": "v", "mountPath": "/v", "readOnly": False}]),
            source(volumeMounts=[{"name": "v", "mountPath": "/v", "subPath": None}]),
        ),
        (pod(labels={"a": "1", "b": "2"}), pod(labels={"b": "2", "a": "1"})),
        (
            pod(volumes=[{"name": "v", "emptyDir": {"sizeLimit": "0.5Gi"}}]),
            pod(volumes=[{"name": "v", "emptyDir": {"sizeLimit": "512Mi"}}]),
        ),
    ],
    ids=str,
)
def test_what_means_the_same_is_spelled_the_same(one: Json, other: Json) -> None:
    assert canonical_json(normalise_source(one)) == canonical_json(normalise_source(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (source(), source(metrics={})),
        (source(), {"server": {"image": "b"}}),
        (source(), {"server": {"image": "a"}, "model": {"version": "7"}}),
        (source(args=[""]), source(args=[])),
        (source(args=["a", "b"]), source(args=["b", "a"])),
        (
            source(env=[{"name": "A", "value": "$(B)"}, {"name": "B", "value": "b"}]),
            source(env=[{"name": "B", "value": "b"}, {"name": "A", "value": "$(B)"}]),
        ),
        (source(securityContext={"runAsNonRoot": False}), source()),
        (source(securityContext={"runAsUser": 0}), source()),
        (source(livenessProbe={"initialDelaySeconds": 0}), source()),
        (pod(labels={"a": ""}), pod()),
        (pod(nodeSelector={"gpu": ""}), pod()),
        (pod(annotations={"limits": "1000m"}), pod(annotations={"limits": "1"})),
        (pod(labels={"divisor": "1000m"}), pod(labels={"divisor": "1"})),
        (pod(spread=[{"labelSelector": {}}]), pod(spread=[{}])),
    ],
    ids=str,
)
def test_what_means_something_else_stays_different(one: Json, other: Json) -> None:
    assert canonical_json(normalise_source(one)) != canonical_json(normalise_source(other))


def test_a_volume_without_settings_is_kept() -> None:
    written = pod(volumes=[{"name": "v", "emptyDir": {}}])
    assert normalise_source(written)["pod"] == {"volumes": [{"name": "v", "emptyDir": {}}]}


def complete_source() -> Json:
    spec = complete()["spec"]
    return {part: spec[part] for part in ("model", "server", "pod")}


def test_normalising_twice_changes_nothing() -> None:
    once = normalise_source(complete_source())
    assert normalise_source(once) == once


def test_the_source_itself_is_left_alone() -> None:
    written = complete_source()
    before = copy.deepcopy(written)
    normalise_source(written)
    assert written == before


@settings(max_examples=50)
@given(st.randoms(use_true_random=False))
def test_the_order_of_fields_says_nothing(chance: random.Random) -> None:
    def shuffled(value: Any) -> Any:
        if isinstance(value, dict):
            keys = list(value)
            chance.shuffle(keys)
            return {key: shuffled(value[key]) for key in keys}
        return [shuffled(item) for item in value] if isinstance(value, list) else value

    written = complete_source()
    assert canonical_json(normalise_source(shuffled(written))) == canonical_json(
        normalise_source(written)
    )


def test_canonical_json_is_sorted_and_without_spaces() -> None:
    assert canonical_json({"b": [1, {"d": "é", "c": None}], "a": True}) == (
        '{"a":true,"b":[1,{"c":null,"d":"é"}]}'
    )
