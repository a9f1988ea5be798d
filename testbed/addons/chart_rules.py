"""The operator's rights in the chart, made from the table of kinds.

``python -m testbed.addons.chart_rules`` writes charts/canarium/templates/_rules.tpl anew;
``--check`` says whether it is out of date. It needs no Helm.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from itertools import chain, groupby
from pathlib import Path
from typing import NamedTuple

from canarium.core.kinds import Row
from canarium.core.names import API_VERSION
from canarium.kube.kinds import SWITCHES, TABLE

RULES = Path(__file__).parents[2] / "charts" / "canarium" / "templates" / "_rules.tpl"
HEAD = """\
{{/* Generated from the table of kinds (operator/canarium/core/kinds.py): make chart

     The operator's rights: what it uses with the given values and no more. It cannot write a
     ModelDeployment, only its status, and reads no Secret. */}}

"""
SERVED = "{{/* In the namespaces that it serves. */}}\n"
CLUSTER = """\
{{/* Of what belongs to nobody's namespace: templates that all share, and gateways, since routes
     attach across namespaces. */}}
"""
ORDER = (
    *("ModelDeployment", "ModelRevision", "MetricTemplate", "Deployment", "ReplicaSet", "Service"),
    *("Pod", "EndpointSlice", "PodDisruptionBudget", "Event", "ClusterMetricTemplate"),
    *("TokenReview", "SubjectAccessReview", "Job", "PodMetrics", "HorizontalPodAutoscaler"),
    *("ScaledObject", "HTTPRoute", "GRPCRoute", "IngressRoute", "TraefikService"),
    *("VirtualService", "Gateway", "GatewayClass"),
)
"How people read them; other kinds come last, in the table's order."
COMMENTS = {"tokenreviews": "Whose token it is, and whether that account may read the metrics."}
"What is said in the rendered role, by the first resource of a rule."
OURS = API_VERSION.partition("/")[0]


class Rule(NamedTuple):
    """One rule of a role; `switch` is the chart's value that gives it, "" for always."""

    switch: str
    group: str
    resources: tuple[str, ...]
    verbs: tuple[str, ...]
    names: tuple[str, ...] = ()

    def render(self) -> str:
        """The rule as the template has it."""
        said = COMMENTS.get(self.resources[0])
        lines = [
            *([f"# {said}"] if said else []),
            f"- apiGroups: [{self.group or _QUOTED}]",
            f"  resources: [{', '.join(self.resources)}]",
            *([f"  resourceNames: [{', '.join(self.names)}]"] if self.names else []),
            f"  verbs: [{', '.join(self.verbs)}]",
        ]
        return "\n".join(lines) + "\n"


_QUOTED = '""'
FINALIZERS = Rule(
    "rbac.ownerReferencesPermissionEnforcement",
    OURS,
    ("modeldeployments/finalizers",),
    ("update",),
)
"""Where the apiserver enforces who may block a deletion, whoever makes a child that names its owner
has to be able to update the owner's finalizers."""


def render_rules() -> str:
    """The whole file."""
    served = _list_rules([row for row in TABLE if row.scope == "Served"])
    last = max(at for at, rule in enumerate(served) if rule.group == OURS)
    served.insert(last + 1, FINALIZERS)
    cluster = _list_rules([row for row in TABLE if row.scope == "Cluster"])
    return (
        HEAD
        + SERVED
        + _define("canarium.rules", served)
        + "\n"
        + CLUSTER
        + _define("canarium.clusterRules", cluster)
    )


def _define(name: str, rules: Sequence[Rule]) -> str:
    body = "".join(_switch(switch, list(found)) for switch, found in groupby(rules, _get_switch))
    return f'{{{{- define "{name}" -}}}}\n{body}{{{{- end -}}}}\n'


def _get_switch(rule: Rule) -> str:
    return rule.switch


def _switch(switch: str, rules: Sequence[Rule]) -> str:
    text = "".join(rule.render() for rule in rules)
    return f"{{{{- if .Values.{switch} }}}}\n{text}{{{{- end }}}}\n" if switch else text


def _list_rules(rows: Sequence[Row]) -> list[Rule]:
    blocks = groupby(sorted(rows, key=_rank), _get_block)
    return list(chain.from_iterable(_merge(list(block)) for _, block in blocks))


def _rank(row: Row) -> int:
    return ORDER.index(row.kind) if row.kind in ORDER else len(ORDER)


def _get_block(row: Row) -> tuple[str, str, str]:
    """What stands together: kinds of one API group that are given for one reason."""
    return row.group, row.role, SWITCHES.get(row.feature, row.value)


def _merge(rows: Sequence[Row]) -> Iterator[Rule]:
    """One rule for neighbours of which the same is asked, and one for their statuses."""
    group, _, switch = _get_block(rows[0])
    for (verbs, only), found in groupby(rows, lambda row: (row.verbs, row.only)):
        yield Rule(switch, group, tuple(row.plural for row in found), verbs, only)
    statuses = tuple(f"{row.plural}/status" for row in rows if row.writes_status)
    if statuses:
        yield Rule(switch, group, statuses, ("patch",))


def main(arguments: list[str]) -> int:
    """Write or check; the exit code."""
    if arguments != ["--check"]:
        RULES.write_text(render_rules())
        return 0
    if RULES.read_text() == render_rules():
        return 0
    print(f"{RULES.name} is not what the table of kinds makes: make chart", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
