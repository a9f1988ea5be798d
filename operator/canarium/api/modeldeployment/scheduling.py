"""Where pods may run: affinity, tolerations and spreading, as in a Pod.

Affinity between pods looks at the object's own namespace only.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from canarium.api.rules import Model, Rule, keyed
from canarium.api.scalars import LabelMap, LabelValue, Line, QualifiedName

Values = Annotated[list[LabelValue], Field(max_length=32)]
Weight = Annotated[int, Field(ge=1, le=100)]


class NodeRequirement(Model):
    """A condition on a label of the node."""

    rules: ClassVar = (
        Rule(
            cel="self.operator in ['Exists', 'DoesNotExist']"
            " ? !has(self.values) || self.values.size() == 0"
            " : has(self.values) && (self.operator in ['Gt', 'Lt']"
            " ? self.values.size() == 1 : self.values.size() > 0)",
            message="In and NotIn need values, Gt and Lt exactly one, Exists and DoesNotExist none",
            holds=lambda need: _fits(need.operator, len(need.values or ())),
            at="values",
        ),
    )

    key: QualifiedName
    "The label's key."
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"]
    "How to compare."
    values: Values | None = None
    "What to compare with."


class FieldRequirement(Model):
    """A condition on the node's name."""

    key: Literal["metadata.name"]
    "The field."
    operator: Literal["In", "NotIn"]
    "How to compare."
    values: Annotated[list[Line], Field(min_length=1, max_length=1)]
    "The node's name."


class LabelRequirement(Model):
    """A condition on a label."""

    rules: ClassVar = (
        Rule(
            cel="self.operator in ['Exists', 'DoesNotExist']"
            " ? !has(self.values) || self.values.size() == 0"
            " : has(self.values) && self.values.size() > 0",
            message="In and NotIn need values, Exists and DoesNotExist none",
            holds=lambda need: _fits(need.operator, len(need.values or ())),
            at="values",
        ),
    )

    key: QualifiedName
    "The label's key."
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    "How to compare."
    values: Values | None = None
    "What to compare with."


def _fits(operator: str, count: int) -> bool:
    if operator in ("Exists", "DoesNotExist"):
        return count == 0
    return count == 1 if operator in ("Gt", "Lt") else count > 0


class LabelSelector(Model):
    """Pods with these labels; without any condition, all pods of the namespace."""

    match_labels: LabelMap | None = None
    "Labels that must have these values."
    match_expressions: Annotated[list[LabelRequirement], Field(max_length=8)] | None = None
    "Further conditions; all must hold."


class NodeTerm(Model):
    """Conditions that must all hold of a node."""

    match_expressions: Annotated[list[NodeRequirement], Field(max_length=8)] | None = None
    "Conditions on its labels."
    match_fields: Annotated[list[FieldRequirement], Field(max_length=8)] | None = None
    "Conditions on its name."


class PreferredNodeTerm(Model):
    """A wish about the node."""

    weight: Weight
    "How much it counts, 1 to 100."
    preference: NodeTerm
    "What is wished for."


class NodeTerms(Model):
    """Terms of which one must hold."""

    node_selector_terms: Annotated[list[NodeTerm], Field(min_length=1, max_length=8)]
    "The terms; one of them is enough."


class NodeAffinity(Model):
    """Which nodes the pods may or should run on."""

    required_during_scheduling_ignored_during_execution: NodeTerms | None = None
    "What must hold."
    preferred_during_scheduling_ignored_during_execution: (
        Annotated[list[PreferredNodeTerm], Field(max_length=8)] | None
    ) = None
    "What should hold."


class PodTerm(Model):
    """Pods of the object's namespace to be near to, or far from."""

    topology_key: QualifiedName
    "The node label that says what near is, such as kubernetes.io/hostname."
    label_selector: LabelSelector | None = None
    "Which pods; none when left out."


class PreferredPodTerm(Model):
    """A wish about the pods nearby."""

    weight: Weight
    "How much it counts, 1 to 100."
    pod_affinity_term: PodTerm
    "Which pods, and what near is."


class PodAffinity(Model):
    """Which pods to be near to, or far from."""

    required_during_scheduling_ignored_during_execution: (
        Annotated[list[PodTerm], Field(max_length=8)] | None
    ) = None
    "What must hold."
    preferred_during_scheduling_ignored_during_execution: (
        Annotated[list[PreferredPodTerm], Field(max_length=8)] | None
    ) = None
    "What should hold."


class Affinity(Model):
    """Which nodes and which neighbours the pods need or want."""

    node_affinity: NodeAffinity | None = None
    "About nodes."
    pod_affinity: PodAffinity | None = None
    "Pods to be near to."
    pod_anti_affinity: PodAffinity | None = None
    "Pods to be far from."


class Toleration(Model):
    """A taint that the pods put up with."""

    rules: ClassVar = (
        Rule(
            cel="!has(self.operator) || self.operator == 'Equal' || !has(self.value)"
            " || self.value == ''",
            message="operator Exists takes no value",
            holds=lambda one: one.operator != "Exists" or not one.value,
            at="value",
        ),
        Rule(
            cel="has(self.key) || (has(self.operator) && self.operator == 'Exists')",
            message="without a key the operator must be Exists",
            holds=lambda one: one.key is not None or one.operator == "Exists",
            at="operator",
        ),
        Rule(
            cel="!has(self.tolerationSeconds) || (has(self.effect) && self.effect == 'NoExecute')",
            message="tolerationSeconds needs effect NoExecute",
            holds=lambda one: one.toleration_seconds is None or one.effect == "NoExecute",
            at="tolerationSeconds",
        ),
    )

    key: QualifiedName | None = None
    "The taint's key; every key when left out."
    operator: Literal["Exists", "Equal"] | None = None
    "How to compare the value; Equal when left out."
    value: LabelValue | None = None
    "The taint's value."
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    "The taint's effect; every effect when left out."
    toleration_seconds: Annotated[int, Field(ge=0)] | None = None
    "For how long, with NoExecute."


class SpreadConstraint(Model):
    """How evenly the pods are spread."""

    rules: ClassVar = (
        Rule(
            cel="!has(self.minDomains) || self.whenUnsatisfiable == 'DoNotSchedule'",
            message="minDomains needs whenUnsatisfiable DoNotSchedule",
            holds=lambda one: one.min_domains is None or one.when_unsatisfiable == "DoNotSchedule",
            at="minDomains",
        ),
        Rule(
            cel="!has(self.matchLabelKeys) || self.matchLabelKeys.size() == 0"
            " || has(self.labelSelector)",
            message="matchLabelKeys needs labelSelector: write labelSelector: {} for all pods",
            holds=lambda one: not one.match_label_keys or one.label_selector is not None,
            at="labelSelector",
        ),
    )

    max_skew: Annotated[int, Field(ge=1)]
    "By how many pods domains may differ."
    topology_key: QualifiedName
    "The node label whose values are the domains."
    when_unsatisfiable: Literal["DoNotSchedule", "ScheduleAnyway"]
    "What to do with a pod that doesn't fit."
    label_selector: LabelSelector | None = None
    "Which pods to count; none when left out."
    match_label_keys: Annotated[list[QualifiedName], Field(max_length=16)] | None = None
    "Labels in which counted pods must agree, such as canarium.dev/revision."
    min_domains: Annotated[int, Field(ge=1)] | None = None
    "How many domains there must be."
    node_affinity_policy: Literal["Honor", "Ignore"] | None = None
    "Whether only nodes that the pod may run on count; Honor when left out."
    node_taints_policy: Literal["Honor", "Ignore"] | None = None
    "Whether only nodes whose taints the pod tolerates count; Ignore when left out."


Tolerations = Annotated[list[Toleration], Field(max_length=32)]
SpreadConstraints = Annotated[
    list[SpreadConstraint], Field(max_length=8), keyed("topologyKey", "whenUnsatisfiable")
]
