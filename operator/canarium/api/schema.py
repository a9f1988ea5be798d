"""The CustomResourceDefinitions, generated from the pydantic models.

pydantic writes JSON Schema; the apiserver wants a structural OpenAPI subset of it: no references,
no titles, no `anyOf` with null, no `additionalProperties: false`. That translation is all there is
here, beside names, columns and subresources.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType
from typing import Any, Literal

import yaml

from canarium.api.kinds import (
    ClusterMetricTemplate,
    MetricTemplate,
    ModelDeployment,
    ModelRevision,
)
from canarium.api.rules import VALIDATIONS, Model

GROUP = "canarium.dev"
VERSION = "v1alpha1"

Schema = dict[str, Any]

_KEY_ORDER = ("description", "type", "format", "enum", "default", "required", "properties")
_DROPPED = ("title", "$defs")


@dataclass(frozen=True, slots=True)
class Column:
    """One column of `kubectl get`; wide ones show with -o wide only."""

    name: str
    path: str
    type: str = "string"
    description: str = ""
    wide: bool = False


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of our API: its schema, its names and what kubectl shows of it."""

    model: type[Model]
    plural: str
    short: str
    columns: tuple[Column, ...]
    subresources: Mapping[str, Any] = field(default_factory=dict)
    scope: Literal["Namespaced", "Cluster"] = "Namespaced"

    @property
    def name(self) -> str:
        """The kind's name."""
        return self.model.__name__


_AGE = Column("Age", ".metadata.creationTimestamp", "date", "Time since it was created.")

_TEMPLATE_COLUMNS = (
    Column("Unit", ".spec.unit", description="Its unit."),
    Column(
        "Working",
        '.status.conditions[?(@.type=="Working")].status',
        description="Whether its last reading gave an answer.",
    ),
    Column(
        "Reason",
        '.status.conditions[?(@.type=="Working")].reason',
        description="Why, or why not.",
    ),
    _AGE,
)

KINDS = (
    Kind(
        model=ModelDeployment,
        plural="modeldeployments",
        short="mdep",
        columns=(
            Column(
                "Ready",
                '.status.conditions[?(@.type=="Ready")].status',
                description="Whether it answers with the capacity that it should have.",
            ),
            Column("Phase", ".status.phase", description="Where it stands."),
            Column("Stable", ".status.stable.version", description="The version that serves."),
            Column("Canary", ".status.canary.version", description="The version being tried."),
            Column(
                "Weight",
                ".status.canary.weight",
                "integer",
                "Share of the traffic that the canary gets, in percent.",
            ),
            Column("Reason", ".status.reason", description="The reason that matters now."),
            Column("URL", ".status.url", description="Where requests go.", wide=True),
            Column(
                "Stable-Image",
                ".status.stable.image",
                description="The serving version's image.",
                wide=True,
            ),
            Column(
                "Canary-Image",
                ".status.canary.image",
                description="The tried version's image.",
                wide=True,
            ),
            _AGE,
        ),
        subresources={
            "status": {},
            "scale": {
                "specReplicasPath": ".spec.scaling.replicas",
                "statusReplicasPath": ".status.replicas",
                "labelSelectorPath": ".status.selector",
            },
        },
    ),
    Kind(
        model=ModelRevision,
        plural="modelrevisions",
        short="mrev",
        columns=(
            Column("Model", ".spec.modelDeployment", description="Its ModelDeployment."),
            Column("Version", ".spec.source.model.version", description="Its version."),
            Column("Outcome", ".status.outcome", description="How its rollout ended."),
            Column("Reason", ".status.reason", description="Why."),
            _AGE,
        ),
        subresources={"status": {}},
    ),
    Kind(
        model=MetricTemplate,
        plural="metrictemplates",
        short="mtpl",
        columns=_TEMPLATE_COLUMNS,
        subresources={"status": {}},
    ),
    Kind(
        model=ClusterMetricTemplate,
        plural="clustermetrictemplates",
        short="cmtpl",
        columns=_TEMPLATE_COLUMNS,
        subresources={"status": {}},
        scope="Cluster",
    ),
)


@cache
def render_crds() -> Mapping[str, str]:
    """Every CustomResourceDefinition as YAML, by file name."""
    texts = {f"{GROUP}_{kind.plural}.yaml": _to_yaml(make_crd(kind)) for kind in KINDS}
    return MappingProxyType(texts)


def make_crd(kind: Kind) -> dict[str, Any]:
    """Make the CustomResourceDefinition of one kind."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": kind.scope,
            "names": {
                "kind": kind.name,
                "listKind": f"{kind.name}List",
                "plural": kind.plural,
                "singular": kind.name.lower(),
                "shortNames": [kind.short],
                "categories": ["canarium"],
            },
            "versions": [_make_version(kind)],
        },
    }


def _make_version(kind: Kind) -> dict[str, Any]:
    return {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": dict(kind.subresources),
        "additionalPrinterColumns": [_make_column(column) for column in kind.columns],
        "schema": {"openAPIV3Schema": make_schema(kind.model)},
    }


def _make_column(column: Column) -> dict[str, Any]:
    shown = {"name": column.name, "type": column.type, "jsonPath": column.path}
    if column.description:
        shown["description"] = column.description
    return shown | ({"priority": 1} if column.wide else {})


def make_schema(model: type[Model]) -> Schema:
    """Make the structural schema of a kind, with apiVersion, kind and metadata."""
    written = model.model_json_schema(by_alias=True)
    schema = _translate(written, written.get("$defs", {}))
    plain = {
        "apiVersion": {"description": f"{GROUP}/{VERSION}.", "type": "string"},
        "kind": {"description": f"{model.__name__}.", "type": "string"},
        "metadata": {"type": "object"},
    }
    return schema | {"properties": plain | schema["properties"]}


def _translate(schema: Schema, definitions: Mapping[str, Schema]) -> Schema:
    """Bring one schema, and all below it, into the apiserver's form."""
    flat = _resolve(schema, definitions)
    if flat.get("x-kubernetes-preserve-unknown-fields"):
        flat.pop("additionalProperties", None)
    if flat.get("additionalProperties") is False:
        del flat["additionalProperties"]
    if flat.get("default", ...) is None:
        del flat["default"]
    if "const" in flat:
        flat["enum"] = [flat.pop("const")]
    for name in _DROPPED:
        flat.pop(name, None)
    return _order({key: _translate_value(key, value, definitions) for key, value in flat.items()})


def _translate_value(key: str, value: Any, definitions: Mapping[str, Schema]) -> Any:
    if key == "properties":
        return {name: _translate(child, definitions) for name, child in value.items()}
    if key in ("items", "additionalProperties") and isinstance(value, dict):
        return _translate(value, definitions)
    return " ".join(value.split()) if key == "description" else value


def _resolve(schema: Schema, definitions: Mapping[str, Schema]) -> Schema:
    """Put what a reference, or the only choice beside null, stands for in its place."""
    beside = {key: value for key, value in schema.items() if key not in ("$ref", "anyOf")}
    if "$ref" in schema:
        target = definitions[schema["$ref"].rpartition("/")[2]]
    elif "anyOf" in schema:
        (target,) = (one for one in schema["anyOf"] if one != {"type": "null"})
    else:
        return beside
    return _merge(_resolve(target, definitions), beside)


def _merge(inner: Schema, outer: Schema) -> Schema:
    rules = [*inner.get(VALIDATIONS, ()), *outer.get(VALIDATIONS, ())]
    return inner | outer | ({VALIDATIONS: rules} if rules else {})


def _order(schema: Schema) -> Schema:
    first = {key: schema[key] for key in _KEY_ORDER if key in schema}
    return first | {key: schema[key] for key in sorted(schema) if key not in first}


def _to_yaml(value: Any) -> str:
    text: str = yaml.dump(
        value, Dumper=_Dumper, sort_keys=False, width=100, default_flow_style=False
    )
    return text


class _Dumper(yaml.SafeDumper):
    """YAML without anchors, for kubectl's readers."""

    def ignore_aliases(self, data: Any) -> bool:
        """Write everything out."""
        return True
