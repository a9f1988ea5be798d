import pathlib
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml
from canarium.api.kinds import ModelDeployment, ModelRevision
from canarium.api.modeldeployment.rollout import Assignment, Rollout
from canarium.api.modeldeployment.scaling import Scaling
from canarium.api.modeldeployment.spec import DeploymentSpec
from canarium.api.reference import render_reference
from canarium.api.rules import VALIDATIONS, Model, models_in
from canarium.api.schema import KINDS, Kind, make_crd, make_schema, render_crds

from tests.unit.api.specs import BAD_SPECS, complete

Json = dict[str, Any]

ROOT = pathlib.Path(__file__).parents[3]

STRUCTURAL = {
    "additionalProperties",
    "default",
    "description",
    "enum",
    "format",
    "items",
    "maximum",
    "maxItems",
    "maxLength",
    "maxProperties",
    "minimum",
    "minItems",
    "pattern",
    "minLength",
    "properties",
    "required",
    "type",
    "x-kubernetes-int-or-string",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-list-type",
    "x-kubernetes-preserve-unknown-fields",
    VALIDATIONS,
}
"What the apiserver's structural schemas know, of which we use these."


def nodes(schema: Json, path: str = "") -> Iterator[tuple[str, Json]]:
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from nodes(child, f"{path}.{name}".removeprefix("."))
    for key, mark in (("items", "[]"), ("additionalProperties", "{}")):
        if isinstance(schema.get(key), dict):
            yield from nodes(schema[key], path + mark)


DEPLOYMENT = make_schema(ModelDeployment)
REVISION = make_schema(ModelRevision)
EVERY_NODE = [*nodes(DEPLOYMENT), *nodes(REVISION)]
OF_SPEC = [(path, node) for path, node in nodes(DEPLOYMENT) if path.startswith("spec")]


def where(
    predicate: Callable[[str, Json], Any], among: list[tuple[str, Json]] = EVERY_NODE
) -> list[str]:
    return [path for path, node in among if predicate(path, node)]


def test_the_files_are_what_the_models_generate() -> None:
    found = {path.name: path.read_text() for path in (ROOT / "crds").glob("*.yaml")}
    assert found == render_crds(), "run: canarium crds --output crds"


def test_the_reference_is_what_the_models_generate() -> None:
    page = (ROOT / "docs/reference/modeldeployment.md").read_text()
    assert page == render_reference(), (
        "run: canarium crds --reference > docs/reference/modeldeployment.md"
    )


def test_the_yaml_says_what_was_generated() -> None:
    assert [yaml.safe_load(text) for text in render_crds().values()] == [
        make_crd(kind) for kind in KINDS
    ]


def test_schemas_are_structural() -> None:
    assert where(lambda _, node: node.keys() - STRUCTURAL) == []
    assert (
        where(
            lambda _, node: (
                "type" not in node
                and not node.get("x-kubernetes-int-or-string")
                and not node.get("x-kubernetes-preserve-unknown-fields")
            )
        )
        == []
    )
    assert where(lambda _, node: {"properties", "additionalProperties"} <= node.keys()) == []


def test_every_field_is_described() -> None:
    undescribed = where(
        lambda path, node: (
            not node.get("description") and not path.endswith(("[]", "{}")) and path != "metadata"
        )
    )
    assert undescribed == []


def test_there_are_no_floats_in_a_spec() -> None:
    assert where(lambda _, node: node.get("type") == "number", OF_SPEC) == []


def test_enum_values_are_camel_case_or_names_of_metrics_and_fields() -> None:
    words = [
        (path, word)
        for path, node in OF_SPEC
        for word in node.get("enum", ())
        if not re.fullmatch(r"([A-Z][a-zA-Z]+)", word)
    ]
    assert {path for path, _ in words} == {
        path
        for path in {path for path, _ in words}
        if path.endswith(("metrics[].name", "fieldPath", ".resource", "matchFields[].key"))
    }


def test_everything_in_a_spec_has_a_limit() -> None:
    def unlimited(_: str, node: Json) -> bool:
        return (
            (node.get("type") == "string" and "maxLength" not in node and "enum" not in node)
            or (node.get("type") == "array" and "maxItems" not in node)
            or ("additionalProperties" in node and "maxProperties" not in node)
            or (node.get("type") == "integer" and "minimum" not in node)
        )

    assert where(unlimited, OF_SPEC) == []


def test_only_size_and_status_have_a_default_and_none_is_in_what_makes_a_revision() -> None:
    defaults = {path: node["default"] for path, node in EVERY_NODE if "default" in node}
    assert defaults == {
        "spec.scaling": {"replicas": 1},
        "status": {"observedGeneration": -1},
        "status.conditions[].message": "",  # left out by earlier operators
    }


def test_named_things_are_maps() -> None:
    def names_unkeyed(_: str, node: Json) -> bool:
        items = node.get("items", {})
        return "name" in items.get("required", ()) and "x-kubernetes-list-map-keys" not in node

    atomic = {"httpHeaders", "parentRefs"}
    unkeyed = [path for path in where(names_unkeyed) if path.rpartition(".")[2] not in atomic]
    assert unkeyed == []
    keyed = [node for _, node in EVERY_NODE if "x-kubernetes-list-map-keys" in node]
    assert all(
        set(node["x-kubernetes-list-map-keys"]) <= set(node["items"]["required"]) for node in keyed
    )


def test_the_complete_example_uses_every_field_of_spec() -> None:
    def used(value: Model) -> Iterator[tuple[type[Model], str]]:
        for name in value.model_fields_set:
            yield from ((kind, name) for kind in type(value).__mro__ if owns(kind, name))
            inner = getattr(value, name)
            for item in inner if isinstance(inner, list) else [inner]:
                if isinstance(item, Model):
                    yield from used(item)

    def owns(kind: type, name: str) -> bool:
        return issubclass(kind, Model) and name in kind.__annotations__

    def reachable(kind: type[Model]) -> Iterator[tuple[type[Model], str]]:
        for name, info in kind.model_fields.items():
            yield next(base for base in kind.__mro__ if owns(base, name)), name
            for inner in models_in(info.annotation):
                yield from reachable(inner)

    spec = DeploymentSpec.model_validate(complete()["spec"])
    instead_of_others = {
        (Rollout, "strategy"), (Assignment, "headers"), (Scaling, "replicas"),
    }  # fmt: skip
    assert set(reachable(DeploymentSpec)) - set(used(spec)) == instead_of_others


def test_every_rule_is_broken_by_one_of_the_bad_specs() -> None:
    messages = {
        rule["message"] for _, node in nodes(DEPLOYMENT) for rule in node.get(VALIDATIONS, ())
    }
    assert messages - {case.says for case in BAD_SPECS} == set()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_columns_show_fields_that_exist(kind: Kind) -> None:
    paths = {path for path, _ in nodes(make_schema(kind.model))}
    for column in kind.columns:
        plainly = re.sub(r"\[\?\(@\.type==\"\w+\"\)\]", "[]", column.path.removeprefix("."))
        known = plainly in paths or plainly.startswith(("metadata.", "spec.source.model."))
        assert known, column


def test_the_crds_say_how_they_are_called_and_what_kubectl_shows() -> None:
    crd = make_crd(KINDS[0])
    version = crd["spec"]["versions"][0]
    assert crd["spec"]["names"] == {
        "kind": "ModelDeployment",
        "listKind": "ModelDeploymentList",
        "plural": "modeldeployments",
        "singular": "modeldeployment",
        "shortNames": ["mdep"],
        "categories": ["canarium"],
    }
    assert version["subresources"] == {
        "status": {},
        "scale": {
            "specReplicasPath": ".spec.scaling.replicas",
            "statusReplicasPath": ".status.replicas",
            "labelSelectorPath": ".status.selector",
        },
    }
    shown = [
        (column["name"], column.get("priority", 0))
        for column in version["additionalPrinterColumns"]
    ]
    assert shown == [
        ("Ready", 0),
        ("Phase", 0),
        ("Stable", 0),
        ("Canary", 0),
        ("Weight", 0),
        ("Reason", 0),
        ("URL", 1),
        ("Stable-Image", 1),
        ("Canary-Image", 1),
        ("Age", 0),
    ]
