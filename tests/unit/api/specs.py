"""ModelDeployments to test with: a plain one, one that uses every field, and every wrong one.

A wrong one is a change to one of the right ones: paths and what to put there. The same table is
run against our parser and against a real apiserver.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


class _Remove:
    def __repr__(self) -> str:
        return "gone"


REMOVE = _Remove()
"Put this in place of a value to take the field away."

GRPC = {"protocol": "GRPC", "parentRefs": [{"name": "public"}]}
TRAEFIK = {"router": "Traefik", "hostnames": ["a.example"]}
PROBE = {"httpGet": {"port": "http", "path": "/v2/health/ready"}}


CUSTOM_METRICS: list[dict[str, Any]] = [
    {
        "name": "precision",
        "templateRef": {"kind": "ClusterMetricTemplate", "name": "precision"},
        "arguments": [{"name": "segment", "value": 'card "present"'}],
        "min": "90%",
        "vsStable": {"maxIncrease": "1%"},
        "interval": "1m",
    },
    {
        "name": "refusals",
        "prometheus": {
            "address": "http://prometheus.monitoring:9090/team",
            "secretRef": {"name": "prometheus"},
            "bad": 'refused_total{revision="{{revision}}"}',
            "total": 'asked_total{revision="{{revision}}"}',
            "timeout": "2s",
        },
        "max": "2%",
        "consecutiveErrorLimit": 10,
    },
    {
        "name": "gpu-memory",
        "prometheus": {"query": 'gpu_used_bytes{service="{{service}}"}'},
        "judge": "RankSum",
        "direction": "LowerIsBetter",
        "vsStable": {"maxRatio": "1.1", "minRatio": "0.5"},
    },
    {
        "name": "score",
        "web": {
            "url": "https://quality.example/{{model}}/{{revision}}",
            "secretRef": {"name": "quality"},
            "value": "$.score",
            "timeout": "1m",
        },
        "min": "-0.5",
        "failureLimit": 2,
    },
    {
        "name": "clicks",
        "web": {"url": "http://clicks.shop/{{revision}}", "good": "$.clicks", "total": "$.shown"},
        "min": "0.01",
    },
    {
        "name": "complaints",
        "web": {"url": "http://desk.example/{{version}}", "bad": "$.angry", "total": "$.all"},
        "max": "5%",
    },
    {
        "name": "approvals",
        "prometheus": {"good": "approved_total", "total": "asked_total"},
        "min": "0.5",
    },
    {
        "name": "smoke",
        "job": {
            "image": "registry.example/smoke@sha256:" + "0" * 64,
            "imagePullPolicy": "IfNotPresent",
            "command": ["python", "smoke.py"],
            "args": ["--url", "$(CANARIUM_URL)"],
            "env": [
                {"name": "ROUNDS", "value": "3"},
                {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "smoke", "key": "key"}}},
            ],
            "envFrom": [{"configMapRef": {"name": "smoke"}}],
            "resources": {"requests": {"cpu": "100m"}, "limits": {"memory": "256Mi"}},
            "volumeMounts": [{"name": "settings", "mountPath": "/cases", "readOnly": True}],
            "securityContext": {"runAsNonRoot": True, "runAsUser": 1000},
            "serviceAccountName": "smoke",
            "timeout": "2m30s",
        },
    },
]


def plain(**changes: Any) -> dict[str, Any]:
    """A small ModelDeployment as somebody's first one would be; `spec__x__y` sets a field."""
    body = {
        "apiVersion": "canarium.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": "fraud", "namespace": "default"},
        "spec": {
            "server": {
                "image": "registry.example/fraud:7",
                "metrics": {"port": 8082, "path": "/metrics", "profile": "MLServer"},
            },
            "scaling": {"replicas": 3},
            "rollout": {
                "steps": [
                    {"name": "five", "weight": 5, "hold": "5m"},
                    {"name": "half", "weight": 50, "hold": "10m"},
                ],
                "analysis": {
                    "metrics": [
                        {"name": "error-rate", "max": "5%", "vsStable": {"maxIncrease": "0.5%"}},
                        {"name": "latency-p99", "vsStable": {"maxRatio": "1.2"}},
                    ],
                },
            },
        },
    }
    return changed(body, {path.replace("__", "."): value for path, value in changes.items()})


def complete() -> dict[str, Any]:
    """A ModelDeployment that uses every field of spec (a test sees to that)."""
    term = {
        "topologyKey": "kubernetes.io/hostname",
        "labelSelector": {
            "matchLabels": {"canarium.dev/model": "fraud"},
            "matchExpressions": [{"key": "team", "operator": "NotIn", "values": ["ads"]}],
        },
    }
    pods = {
        "requiredDuringSchedulingIgnoredDuringExecution": [term],
        "preferredDuringSchedulingIgnoredDuringExecution": [
            {"weight": 10, "podAffinityTerm": term}
        ],
    }
    nodes = {
        "matchExpressions": [{"key": "gpu", "operator": "Gt", "values": ["1"]}],
        "matchFields": [{"key": "metadata.name", "operator": "NotIn", "values": ["old"]}],
    }
    items = [{"key": "a", "path": "sub/a", "mode": 420}]
    files = [
        {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}, "mode": 256},
        {
            "path": "cpu",
            "resourceFieldRef": {
                "containerName": "server",
                "resource": "limits.cpu",
                "divisor": "1m",
            },
        },
    ]
    check = {
        "initialDelaySeconds": 1,
        "periodSeconds": 2,
        "timeoutSeconds": 3,
        "failureThreshold": 4,
    }
    container = {
        "image": "registry.example/fraud:7",
        "imagePullPolicy": "IfNotPresent",
        "command": ["/bin/serve"],
        "args": ["--quiet", ""],
        "env": [
            {"name": "PLAIN", "value": "a b"},
            {
                "name": "FROM_MAP",
                "valueFrom": {
                    "configMapKeyRef": {"name": "settings", "key": "k", "optional": True}
                },
            },
            {
                "name": "FROM_SECRET",
                "valueFrom": {"secretKeyRef": {"name": "token", "key": "k"}},
            },
            {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
            {
                "name": "CPUS",
                "valueFrom": {
                    "resourceFieldRef": {
                        "resource": "limits.cpu",
                        "containerName": "server",
                        "divisor": 1,
                    }
                },
            },
        ],
        "envFrom": [
            {"prefix": "A_", "configMapRef": {"name": "all", "optional": True}},
            {"secretRef": {"name": "all-secret"}},
        ],
        "resources": {
            "requests": {"cpu": "500m", "memory": "0.5Gi", "nvidia.com/gpu": 1},
            "limits": {"cpu": 2, "memory": "1Gi", "nvidia.com/gpu": 1},
        },
        "readinessProbe": {
            "httpGet": {
                "port": "http",
                "path": "/ready",
                "scheme": "HTTP",
                "httpHeaders": [{"name": "X-Probe", "value": "1"}],
            },
            "successThreshold": 2,
            **check,
        },
        "livenessProbe": {"grpc": {"port": 9000, "service": "live"}, **check},
        "startupProbe": {"exec": {"command": ["true"]}, **check},
        "volumeMounts": [
            {"name": "scratch", "mountPath": "/scratch", "subPath": "a/b", "readOnly": False},
            {"name": "settings", "mountPath": "/settings", "readOnly": True},
        ],
        "securityContext": {
            "runAsUser": 1000,
            "runAsGroup": 1000,
            "runAsNonRoot": True,
            "readOnlyRootFilesystem": True,
        },
    }
    return plain(
        spec__model={"name": "fraud-detector", "version": "7"},
        spec__server={
            **container,
            "port": 9000,
            "grpcPort": 9001,
            "metrics": {"port": 8082, "path": "/metrics", "profile": "MLServer"},
        },
        spec__pod={
            "labels": {"team": "risk", "example.com/cost-centre": ""},
            "annotations": {"example.com/note": "anything: at all"},
            "nodeSelector": {"disk": "ssd"},
            "tolerations": [
                {"key": "gpu", "operator": "Equal", "value": "yes", "effect": "NoSchedule"},
                {"operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 60},
            ],
            "affinity": {
                "nodeAffinity": {
                    "requiredDuringSchedulingIgnoredDuringExecution": {
                        "nodeSelectorTerms": [nodes]
                    },
                    "preferredDuringSchedulingIgnoredDuringExecution": [
                        {"weight": 1, "preference": nodes}
                    ],
                },
                "podAffinity": pods,
                "podAntiAffinity": pods,
            },
            "topologySpreadConstraints": [
                {
                    "maxSkew": 1,
                    "topologyKey": "topology.kubernetes.io/zone",
                    "whenUnsatisfiable": "DoNotSchedule",
                    "labelSelector": {},
                    "matchLabelKeys": ["canarium.dev/revision"],
                    "minDomains": 2,
                    "nodeAffinityPolicy": "Honor",
                    "nodeTaintsPolicy": "Honor",
                }
            ],
            "priorityClassName": "system-cluster-critical",
            "runtimeClassName": "sandboxed",
            "serviceAccountName": "fraud",
            "imagePullSecrets": [{"name": "registry"}],
            "securityContext": {
                "runAsUser": 1000,
                "runAsGroup": 1000,
                "runAsNonRoot": True,
                "fsGroup": 1000,
                "fsGroupChangePolicy": "OnRootMismatch",
                "supplementalGroups": [2000],
            },
            "terminationGracePeriodSeconds": 60,
            "volumes": [
                {"name": "scratch", "emptyDir": {"medium": "Memory", "sizeLimit": "0.5Gi"}},
                {
                    "name": "settings",
                    "configMap": {
                        "name": "settings",
                        "items": items,
                        "defaultMode": 292,
                        "optional": True,
                    },
                },
                {
                    "name": "secret",
                    "secret": {
                        "secretName": "secret",
                        "items": items,
                        "defaultMode": 256,
                        "optional": True,
                    },
                },
                {"name": "claim", "persistentVolumeClaim": {"claimName": "c", "readOnly": True}},
                {"name": "fields", "downwardAPI": {"items": files, "defaultMode": 292}},
                {
                    "name": "mixed",
                    "projected": {
                        "defaultMode": 292,
                        "sources": [
                            {"configMap": {"name": "m", "items": items, "optional": True}},
                            {"secret": {"name": "s"}},
                            {"downwardAPI": {"items": files}},
                        ],
                    },
                },
            ],
            "sidecars": [
                {
                    **container,
                    "name": "proxy",
                    "image": "registry.example/proxy:1",
                    "ports": [{"name": "proxy", "containerPort": 15000}],
                    "startupProbe": {"tcpSocket": {"port": 15000}},
                    "livenessProbe": {"tcpSocket": {"port": "proxy"}},
                    "readinessProbe": {"httpGet": {"port": 15000}},
                }
            ],
        },
        spec__traffic={
            "router": "GatewayAPI",
            "protocol": "HTTP",
            "parentRefs": [
                {"name": "public", "namespace": "gateways", "sectionName": "https", "port": 443},
                {"name": "public"},
                {"group": "", "kind": "Service", "name": "fraud", "port": 80},
            ],
            "hostnames": ["fraud.example.com", "*.example.org"],
            "paths": [{"type": "Exact", "value": "/v2/models/fraud/infer"}, {"value": "/"}],
            "timeouts": {"request": "30s"},
        },
        spec__scaling={
            "minReplicas": 0,
            "maxReplicas": 20,
            "engine": "KEDA",
            "metrics": [
                {"name": "cpu", "type": "CPU", "target": "70%"},
                {"name": "memory", "type": "Memory", "target": "1.5Gi"},
                {"name": "rps", "type": "RequestsPerSecond", "target": "20.5"},
                {"name": "busy", "type": "Concurrency", "target": "4"},
                {"name": "gpu", "type": "GPU", "target": "80%"},
                {
                    "name": "queue",
                    "type": "External",
                    "target": "30",
                    "query": 'sum(queue_length{model="{{model}}"})',
                },
            ],
            "behavior": {
                "scaleUp": {
                    "stabilizationWindowSeconds": 0,
                    "selectPolicy": "Max",
                    "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}],
                },
                "scaleDown": {"stabilizationWindowSeconds": 60, "selectPolicy": "Disabled"},
            },
            "idleAfter": "10m",
            "prometheus": {"address": "http://prometheus.monitoring:9090"},
            "disruptionBudget": {"maxUnavailable": "20%"},
        },
        spec__rollout={
            "steps": [
                {"name": "shadow", "mirror": {"percent": 20}, "replicas": 2},
                {
                    "name": "testers",
                    "headers": [
                        {"name": "x-canary", "value": "1"},
                        {"name": "x-team", "value": "a|b", "type": "RegularExpression"},
                    ],
                    "replicas": "50%",
                },
                {"name": "five", "weight": 5, "hold": "1m30s", "approval": "Manual"},
            ],
            "experiment": {
                "metric": "clicks",
                "weight": 40,
                "sticky": {"cookie": "canarium-variant"},
                "minDuration": "24h",
                "maxDuration": "240h",
            },
            "analysis": {
                "interval": "2s",
                "initialDelay": "10s",
                "minRequests": 50,
                "onNoData": "Rollback",
                "metrics": [
                    {"name": "error-rate", "max": "0.05", "vsStable": {"maxIncrease": "0.5%"}},
                    {
                        "name": "latency-p99",
                        "source": "Gateway",
                        "max": "250ms",
                        "vsStable": {"maxRatio": "1.2"},
                    },
                    *CUSTOM_METRICS,
                ],
                "decide": "Early",
                "trafficShare": "Ignore",
                "pods": {"secretRef": {"name": "scraper"}},
                "gateway": {
                    "address": "http://traefik-metrics.gateways:9100/metrics",
                    "secretRef": {"name": "gateway"},
                },
            },
            "progressDeadline": "20m",
            "emergencyAfter": "30s",
            "guard": {"duration": "30m", "holdback": 10},
            "capacity": "InPlace",
            "paused": True,
            "revisionHistoryLimit": 3,
        },
        spec__notifications=[
            {
                "name": "ops",
                "type": "Slack",
                "secretRef": {"name": "chat", "key": "ops-channel"},
                "events": ["RolledBack", "Waiting"],
                "text": "{{name}} {{version}}: {{message}} {a}",
            },
            {"name": "audit", "type": "Webhook", "secretRef": {"name": "audit"}},
        ],
    )


def changed(body: dict[str, Any], changes: Mapping[Any, Any]) -> dict[str, Any]:
    """A copy with values put at dotted paths: `spec.rollout.steps.0.weight`."""
    body = copy.deepcopy(body)
    for path, value in changes.items():
        *above, last = path.split(".") if isinstance(path, str) else path
        place: Any = body
        for part in above:
            place = place[int(part)] if isinstance(place, list) else place.setdefault(part, {})
        if value is REMOVE:
            del place[last]
        elif isinstance(place, list):
            place[int(last)] = value
        else:
            place[last] = value
    return body


@dataclass(frozen=True)
class Bad:
    """A wrong ModelDeployment: the change that makes it so, the field to name, and the cure.

    `server_says` and `server_names` are the apiserver's words and field where its own checks
    are quicker than ours.
    """

    change: dict[str, Any]
    field: str
    says: str
    server_names: str | None = None
    server_says: str | None = None

    @property
    def body(self) -> dict[str, Any]:
        return changed(plain(), self.change)

    @property
    def id(self) -> str:
        shown = ",".join(f"{path}={value!r:.30}" for path, value in self.change.items())
        return shown.removeprefix("spec.")[:90]


def bad(
    changes: dict[str, Any],
    field: str,
    says: str,
    *,
    server_names: str | None = None,
    server_says: str | None = None,
) -> Bad:
    return Bad(
        {(f"spec.{path}" if path[0] != "^" else path[1:]): v for path, v in changes.items()},
        f"spec.{field}" if field[0] != "^" else field[1:],
        says,
        server_names=server_names,
        server_says=server_says,
    )


def custom(**changes: Any) -> dict[str, Any]:
    """A metric of one's own; REMOVE takes a field away, in a query of its own too."""
    metric = {"name": "errors", "prometheus": {"query": "a"}, "max": "5", **changes}
    given = {name: value for name, value in metric.items() if value is not REMOVE}
    return {
        name: {key: each for key, each in value.items() if each is not REMOVE}
        if isinstance(value, dict)
        else value
        for name, value in given.items()
    }


REQUIRED = "Required value"
NAME = (
    "metadata.name must begin with a letter and hold at most 52 lower-case letters, digits and"
    " dashes, the last no dash: a revision's name adds 11 more"
)
DURATION = "write a duration such as 90s, 5m or 1h30m (units h, m, s, ms)"
RATIO = 'write a ratio from 0 to 1 as a string, such as "5%" or "0.05"'
FACTOR = 'write a factor of at least 1 as a string, such as "1.2"'
QUANTITY = 'write a quantity such as 2, "500m" or 4Gi'
LABEL = "write lower-case letters, digits and dashes, beginning and ending with no dash"
LABEL_VALUE = "write letters, digits, dashes, underscores and dots, as in label values"
SUBDOMAIN = "write lower-case letters, digits, dashes and dots, as in names of objects"
URL_PATH = "write a path that begins with /"
INNER_PATH = "write a path inside the volume: relative, and without .. in it"
PORT_REFERENCE = "write a port from 1 to 65535, without quotes, or the name of one"
PORT_NAME = "write lower-case letters, digits and single dashes, beginning with a letter"
KEYS = "write keys such as team or example.com/team"
OWN_KEYS = "keys under canarium.dev/ are Canarium's own: choose others"
ONE_CHECK = "set exactly one of httpGet, tcpSocket, grpc, exec"
RESOURCE_NAMES = (
    "write cpu, memory, ephemeral-storage, hugepages-<size> or a name with a domain,"
    " such as nvidia.com/gpu"
)
NODE_VALUES = "In and NotIn need values, Gt and Lt exactly one, Exists and DoesNotExist none"
LABEL_VALUES = "In and NotIn need values, Exists and DoesNotExist none"
IMAGE = "write the image's reference, without spaces: registry/name:tag"
ERROR_RATE = 'the bound of error-rate is a ratio: write a string such as "5%" or "0.05"'
LATENCY = "the bound of a latency is a duration longer than 0: write 250ms or 1s500ms"


def _node_term(need: dict[str, Any]) -> dict[str, Any]:
    return {"nodeSelectorTerms": [{"matchExpressions": [need]}]}


_NODES = "pod.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution"
METRIC_NAME = (
    "error-rate and latency-p50, -p90, -p95, -p99 are built in; any other metric needs exactly one"
    " of templateRef, prometheus, web, job"
)
ONLY_A_JOB = (
    "a job's success is its verdict: leave max, min, vsStable, judge, direction, arguments,"
    " failureLimit, consecutiveErrorLimit and interval out"
)
_JOB = {"name": "smoke", "job": {"image": "smoke:1"}}
FIGURE = 'write a number, ratio or duration as a string, such as "0.9", "5%" or "250ms"'
_NODE_NEED = f"{_NODES}.nodeSelectorTerms[0].matchExpressions[0]"
_SPREAD = {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}
_METRIC = "rollout.analysis.metrics"
CLICKS = {f"{_METRIC}.1": CUSTOM_METRICS[4]}
_VOLUME = "pod.volumes[0]"


_OPS = {"name": "ops", "type": "Slack", "secretRef": {"name": "chat"}}
_CPU = {"name": "cpu", "type": "CPU", "target": "500m"}
_REQUESTS = {"name": "requests", "type": "RequestsPerSecond", "target": "20"}
_QUEUE = {"name": "queue", "type": "External", "target": "30", "query": "queue_length"}
ONE_SIZE = (
    "set exactly one of replicas (a fixed size) and maxReplicas (autoscaling, with metrics); where"
    " your manifest has no replicas, kubectl scale --replicas=1 takes it back"
)
PLAIN_TARGET = (
    "the target of RequestsPerSecond, Concurrency and External is a number above 0 for each pod,"
    ' such as "20" or "0.5"'
)


def _automatic(*metrics: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"maxReplicas": 5, "metrics": list(metrics) or [_CPU], **fields}


def _volume(source: dict[str, Any]) -> dict[str, Any]:
    return {"pod.volumes": [{"name": "v", **source}]}


def _sidecar(**fields: Any) -> dict[str, Any]:
    return {"pod.sidecars": [{"name": "proxy", "image": "proxy:1", **fields}]}


BAD_SPECS = [
    # The name
    *(
        bad({"^metadata.name": name}, "^metadata.name", NAME, server_names="")
        for name in ("1fraud", "a" * 53, "fraud.v1")
    ),
    # What is served
    bad({"model": {"version": "7 beta"}}, "model.version", LABEL_VALUE),
    bad({"model": {"name": "../x"}}, "model.name", LABEL_VALUE),
    bad(
        {"model": {"name": "a" * 64}},
        "model.name",
        "at most 63 characters are allowed",
        server_says="Too long: may not be more than 63 bytes",
    ),
    # The server
    bad({"server.image": REMOVE}, "server.image", "is required", server_says=REQUIRED),
    bad({"server": REMOVE}, "server", "is required", server_says=REQUIRED),
    bad({"server.image": "a b"}, "server.image", IMAGE),
    bad({"server.image": ""}, "server.image", IMAGE),
    bad({"server.image": "a\nb"}, "server.image", IMAGE),
    bad(
        {"server.port": 0},
        "server.port",
        "write 1 or more",
        server_says="should be greater than or equal to 1",
    ),
    bad(
        {"server.port": 65536},
        "server.port",
        "write 65535 or less",
        server_says="should be less than or equal to 65535",
    ),
    bad(
        {"server.port": "8080"},
        "server.port",
        "write a whole number",
        server_says='must be of type integer: "string"',
    ),
    bad(
        {"server.imagePullPolicy": "Sometimes"},
        "server.imagePullPolicy",
        "write one of 'Always', 'IfNotPresent' or 'Never'",
        server_says='supported values: "Always", "IfNotPresent", "Never"',
    ),
    bad(
        {"server.args": ["a"] * 257},
        "server.args",
        "at most 256 entries are allowed",
        server_says="Too many: 257: must have at most 256 items",
    ),
    bad(
        {"server.command": "serve"},
        "server.command",
        "write a list",
        server_says='must be of type array: "string"',
    ),
    bad({"server.metrics.path": "metrics"}, "server.metrics.path", URL_PATH),
    bad(
        {"server.metrics.profile": "Statsd"},
        "server.metrics.profile",
        "write one of MLServer, KServe, Triton, TorchServe, TensorFlowServing, VLLM, BentoML,"
        " RayServe, Prometheus, or the name of a profile of your own, which begins with a"
        " lower-case letter",
    ),
    # Environment
    bad(
        {"server.env": [{"name": "A=B"}]},
        "server.env[0].name",
        "write the variable's name, without spaces and =",
    ),
    bad(
        {"server.env": [{"name": "A", "value": 1}]},
        "server.env[0].value",
        "write a string (in quotes when it looks like a number)",
        server_says='must be of type string: "integer"',
    ),
    bad(
        {"server.env": [{"name": "A"}, {"name": "B"}, {"name": "A"}]},
        "server.env",
        "two entries share name A",
        server_names="spec.server.env[2]",
        server_says='Duplicate value: {"name":"A"}',
    ),
    bad(
        {
            "server.env": [
                {
                    "name": "A",
                    "value": "a",
                    "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}},
                }
            ]
        },
        "server.env[0]",
        "set value or valueFrom, not both",
    ),
    bad(
        {"server.env": [{"name": "A", "valueFrom": {}}]},
        "server.env[0].valueFrom",
        "set exactly one of configMapKeyRef, secretKeyRef, fieldRef, resourceFieldRef",
    ),
    bad(
        {"server.env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "spec.host"}}}]},
        "server.env[0].valueFrom.fieldRef.fieldPath",
        "write a field of the pod such as metadata.name or status.podIP",
    ),
    bad(
        {
            "server.env": [
                {
                    "name": "A",
                    "valueFrom": {"secretKeyRef": {"name": "other/secret", "key": "k"}},
                }
            ]
        },
        "server.env[0].valueFrom.secretKeyRef.name",
        SUBDOMAIN,
    ),
    bad(
        {"server.env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "/"}}}]},
        "server.env[0].valueFrom.secretKeyRef.key",
        "write letters, digits, dashes, underscores and dots",
    ),
    bad(
        {"server.envFrom": [{"prefix": "A_"}]},
        "server.envFrom[0]",
        "set exactly one of configMapRef, secretRef",
    ),
    # Resources
    bad(
        {"server.resources": {"limits": {"cpu": "2 cores"}}},
        "server.resources.limits.cpu",
        QUANTITY,
        server_names="spec.server.resources.limits[cpu]",
    ),
    bad(
        {"server.resources": {"limits": {"cpu": -1}}},
        "server.resources.limits.cpu",
        QUANTITY,
        server_names="spec.server.resources.limits[cpu]",
    ),
    bad(
        {"server.resources": {"limits": {"cpu": 0.5}}},
        "server.resources.limits.cpu",
        QUANTITY,
        server_says='must be of type integer,string: "number"',
    ),
    bad({"server.resources": {"limits": {"gpu": 1}}}, "server.resources.limits", RESOURCE_NAMES),
    bad(
        {"server.resources": {"limits": {"nvidia.com/ gpu": 1}}},
        "server.resources.limits",
        KEYS,
    ),
    bad(
        {"server.resources": {"requests": {"memory": "2Gi"}, "limits": {"memory": "2G"}}},
        "server.resources.requests.memory",
        "a request must not be above its limit",
        server_names="spec.server.resources.requests",
    ),
    # Probes
    bad({"server.readinessProbe": {}}, "server.readinessProbe", ONE_CHECK),
    bad(
        {"server.livenessProbe": {"tcpSocket": {"port": 1}, "exec": {"command": ["a"]}}},
        "server.livenessProbe",
        ONE_CHECK,
    ),
    bad(
        {"server.readinessProbe": {"tcpSocket": {"port": 0}}},
        "server.readinessProbe.tcpSocket.port",
        PORT_REFERENCE,
    ),
    bad(
        {"server.readinessProbe": {"tcpSocket": {"port": "HTTP"}}},
        "server.readinessProbe.tcpSocket.port",
        PORT_REFERENCE,
    ),
    bad(
        {"server.readinessProbe": {"httpGet": {"port": "8080"}}},
        "server.readinessProbe.httpGet.port",
        PORT_REFERENCE,
    ),
    bad(
        {"server.startupProbe": {"tcpSocket": {"port": "0--a"}}},
        "server.startupProbe.tcpSocket.port",
        PORT_REFERENCE,
    ),
    bad(
        {"server.readinessProbe": {"httpGet": {"port": 1, "path": "ready"}}},
        "server.readinessProbe.httpGet.path",
        URL_PATH,
    ),
    bad(
        {
            "server.readinessProbe": {
                "httpGet": {"port": 1, "httpHeaders": [{"name": "a b", "value": ""}]}
            }
        },
        "server.readinessProbe.httpGet.httpHeaders[0].name",
        "write letters, digits and dashes",
    ),
    bad(
        {"server.readinessProbe": {"exec": {"command": []}}},
        "server.readinessProbe.exec.command",
        "at least 1 must be given",
        server_says="should have at least 1 items",
    ),
    # Volumes
    bad(
        {"server.volumeMounts": [{"name": "v", "mountPath": "/v"}]},
        "server.volumeMounts",
        "every volumeMount needs a volume of its name in spec.pod.volumes",
    ),
    bad(
        {
            "pod.volumes": [{"name": "v", "emptyDir": {}}],
            "server.volumeMounts": [{"name": "v", "mountPath": "/v:/w"}],
        },
        "server.volumeMounts[0].mountPath",
        "write a path without a colon",
    ),
    bad(
        {
            "pod.volumes": [{"name": "v", "emptyDir": {}}],
            "server.volumeMounts": [{"name": "v", "mountPath": "/v", "subPath": "a/../.."}],
        },
        "server.volumeMounts[0].subPath",
        INNER_PATH,
    ),
    bad(
        {
            "pod.volumes": [{"name": "v", "emptyDir": {}}],
            "server.volumeMounts": [{"name": "v", "mountPath": "/v"}] * 2,
        },
        "server.volumeMounts",
        "two entries share mountPath /v",
        server_names="spec.server.volumeMounts[1]",
        server_says='Duplicate value: {"mountPath":"/v"}',
    ),
    bad(
        _volume({}),
        _VOLUME,
        "set exactly one of emptyDir, configMap, secret, persistentVolumeClaim, downwardAPI,"
        " projected",
    ),
    bad(
        {"pod.volumes": [{"name": "V", "emptyDir": {}}]},
        f"{_VOLUME}.name",
        LABEL,
    ),
    bad(
        _volume({"emptyDir": {"sizeLimit": "big"}}),
        f"{_VOLUME}.emptyDir.sizeLimit",
        QUANTITY,
    ),
    bad(
        _volume({"configMap": {"name": "m", "items": [{"key": "k", "path": "/etc"}]}}),
        f"{_VOLUME}.configMap.items[0].path",
        INNER_PATH,
    ),
    bad(
        _volume({"downwardAPI": {"items": [{"path": "a"}]}}),
        f"{_VOLUME}.downwardAPI.items[0]",
        "set exactly one of fieldRef, resourceFieldRef",
    ),
    bad(
        _volume(
            {
                "downwardAPI": {
                    "items": [{"path": "a", "resourceFieldRef": {"resource": "limits.cpu"}}]
                }
            }
        ),
        f"{_VOLUME}.downwardAPI.items[0].resourceFieldRef.containerName",
        "resourceFieldRef needs containerName in a volume",
    ),
    bad(
        _volume({"projected": {"sources": [{}]}}),
        f"{_VOLUME}.projected.sources[0]",
        "set exactly one of configMap, secret, downwardAPI",
    ),
    # Pods
    bad({"pod.labels": {"canarium.dev/model": "other"}}, "pod.labels", OWN_KEYS),
    bad({"pod.labels": {"x.canarium.dev/model": "other"}}, "pod.labels", OWN_KEYS),
    bad({"pod.annotations": {"canarium.dev/promote": "x"}}, "pod.annotations", OWN_KEYS),
    bad({"pod.labels": {"a b": "c"}}, "pod.labels", KEYS),
    bad(
        {"pod.labels": {"team": "a b"}},
        "pod.labels.team",
        LABEL_VALUE,
        server_names="spec.pod.labels[team]",
    ),
    bad({"pod.nodeSelector": {"-": "c"}}, "pod.nodeSelector", KEYS),
    bad({"pod.imagePullSecrets": [{"name": "_"}]}, "pod.imagePullSecrets[0].name", SUBDOMAIN),
    bad(
        {"pod.terminationGracePeriodSeconds": 5},
        "pod.terminationGracePeriodSeconds",
        "write 10 or more",
        server_says="should be greater than or equal to 10",
    ),
    bad(
        {"pod.tolerations": [{"key": "a", "operator": "Exists", "value": "b"}]},
        "pod.tolerations[0].value",
        "operator Exists takes no value",
    ),
    bad(
        {"pod.tolerations": [{"effect": "NoSchedule"}]},
        "pod.tolerations[0].operator",
        "without a key the operator must be Exists",
    ),
    bad(
        {"pod.tolerations": [{"key": "a", "operator": "Exists", "tolerationSeconds": 1}]},
        "pod.tolerations[0].tolerationSeconds",
        "tolerationSeconds needs effect NoExecute",
    ),
    bad({_NODES: _node_term({"key": "a", "operator": "In"})}, f"{_NODE_NEED}.values", NODE_VALUES),
    bad(
        {_NODES: _node_term({"key": "a", "operator": "Exists", "values": ["b"]})},
        f"{_NODE_NEED}.values",
        NODE_VALUES,
    ),
    bad(
        {_NODES: _node_term({"key": "a", "operator": "Lt", "values": ["1", "2"]})},
        f"{_NODE_NEED}.values",
        NODE_VALUES,
    ),
    bad(
        {_NODES: _node_term({"key": "a/b/c", "operator": "Exists"})},
        f"{_NODE_NEED}.key",
        "write a name as in label keys, such as example.com/name",
    ),
    bad(
        {
            "pod.topologySpreadConstraints": [
                _SPREAD
                | {"labelSelector": {"matchExpressions": [{"key": "a", "operator": "NotIn"}]}}
            ]
        },
        "pod.topologySpreadConstraints[0].labelSelector.matchExpressions[0].values",
        LABEL_VALUES,
    ),
    bad(
        {"pod.topologySpreadConstraints": [_SPREAD | {"minDomains": 2}]},
        "pod.topologySpreadConstraints[0].minDomains",
        "minDomains needs whenUnsatisfiable DoNotSchedule",
    ),
    bad(
        {"pod.topologySpreadConstraints": [_SPREAD | {"matchLabelKeys": ["a"]}]},
        "pod.topologySpreadConstraints[0].labelSelector",
        "matchLabelKeys needs labelSelector: write labelSelector: {} for all pods",
    ),
    # Sidecars
    bad(
        {"pod.sidecars": [{"name": "server", "image": "a"}]},
        "pod.sidecars[0].name",
        "server is the name of the model server's own container: choose another",
    ),
    bad(
        _sidecar(volumeMounts=[{"name": "v", "mountPath": "/v"}]),
        "pod.sidecars",
        "every volumeMount of a sidecar needs a volume of its name in spec.pod.volumes",
    ),
    bad(
        _sidecar(ports=[{"name": "8080", "containerPort": 8080}]),
        "pod.sidecars[0].ports[0].name",
        PORT_NAME,
    ),
    bad(
        _sidecar(ports=[{"name": "a--b", "containerPort": 8080}]),
        "pod.sidecars[0].ports[0].name",
        PORT_NAME,
    ),
    # Scaling
    bad(
        {"scaling": {"replicas": -1}},
        "scaling.replicas",
        "write 0 or more",
        server_says="should be greater than or equal to 0",
    ),
    bad({"scaling": {}}, "scaling", ONE_SIZE),
    bad({"scaling": {"disruptionBudget": {"maxUnavailable": 1}}}, "scaling", ONE_SIZE),
    bad({"scaling": _automatic(replicas=3)}, "scaling", ONE_SIZE),
    *(
        bad(
            {"scaling": {"replicas": 3, field: value}},
            "scaling",
            "minReplicas, metrics, behavior, engine, idleAfter and prometheus go with maxReplicas:"
            " add it, or leave them out",
        )
        for field, value in {
            "minReplicas": 1,
            "metrics": [_CPU],
            "behavior": {},
            "engine": "None",
            "prometheus": {"address": "http://prometheus"},
        }.items()
    ),
    bad(
        {"scaling": {"maxReplicas": 3}},
        "scaling.metrics",
        "maxReplicas needs something to count pods by: add metrics",
    ),
    bad(
        {"scaling": _automatic(minReplicas=6)},
        "scaling.minReplicas",
        "minReplicas (1 when left out) is above maxReplicas",
    ),
    bad(
        {"scaling": _automatic(_QUEUE, minReplicas=0, engine="None")},
        "scaling.minReplicas",
        "minReplicas 0 needs KEDA: write engine Auto or KEDA, or minReplicas 1",
    ),
    *(
        bad(
            {"scaling": _automatic(_CPU, metric, minReplicas=0)},
            "scaling.metrics",
            "minReplicas 0 needs a metric of type External: without pods nothing else tells of"
            " load, and the model would never wake",
        )
        for metric in (_REQUESTS, {"name": "gpu", "type": "GPU", "target": "80%"})
    ),
    *(
        bad(
            {"scaling": _automatic(_CPU, metric, engine="HPA")},
            "scaling.engine",
            "engine HPA knows CPU and Memory alone: write engine Auto or KEDA for the other types",
        )
        for metric in (_REQUESTS, _QUEUE)
    ),
    bad(
        {"scaling": _automatic(_QUEUE, idleAfter="1m")},
        "scaling.idleAfter",
        "idleAfter is for models that may go to zero pods: write minReplicas 0, or leave it out",
    ),
    bad(
        {"scaling": _automatic(maxReplicas=0)},
        "scaling.maxReplicas",
        "write 1 or more",
        server_says="should be greater than or equal to 1",
    ),
    bad(
        {"scaling": _automatic(_CPU, {**_CPU, "target": "1"})},
        "scaling.metrics",
        "two entries share name cpu",
        server_names="spec.scaling.metrics[1]",
        server_says='Duplicate value: {"name":"cpu"}',
    ),
    *(
        bad(
            {
                "scaling": _automatic({"name": "a", "type": kind, "target": target}),
                "server.resources": {"requests": {"cpu": 1}},
            },
            "scaling.metrics[0].target",
            "the target of CPU and Memory is a share of what server.resources requests, such as"
            ' "70%", or what a pod uses on average, such as "500m" or "2Gi"',
        )
        for kind, target in (("CPU", "0%"), ("CPU", "0"), ("Memory", "2 Gi"), ("Memory", "-1"))
    ),
    *(
        bad(
            {"scaling": _automatic({**_QUEUE, "target": target})},
            "scaling.metrics[0].target",
            PLAIN_TARGET,
        )
        for target in ("0", "0.000", "70%", "500m", "1e3")
    ),
    bad(
        {"scaling": _automatic({**_REQUESTS, "target": "many"})},
        "scaling.metrics[0].target",
        PLAIN_TARGET,
    ),
    bad(
        {"scaling": _automatic({**_REQUESTS, "target": 20})},
        "scaling.metrics[0].target",
        "write a string (in quotes when it looks like a number)",
        server_says='must be of type string: "integer"',
    ),
    *(
        bad(
            {"scaling": _automatic({"name": "gpu", "type": "GPU", "target": target})},
            "scaling.metrics[0].target",
            'the target of GPU is a share of each GPU, such as "80%"',
        )
        for target in ("80", "101%", "0%")
    ),
    bad(
        {"scaling": _automatic({"name": "queue", "type": "External", "target": "1"})},
        "scaling.metrics[0].query",
        "External needs what to ask: add query, in PromQL",
    ),
    bad(
        {"scaling": _automatic({**_REQUESTS, "query": "up"})},
        "scaling.metrics[0].query",
        "only External has a query: write type External, or leave query out",
    ),
    *(
        bad(
            {
                "scaling": _automatic({"name": "a", "type": kind, "target": "70%"}),
                "server.resources": {"requests": {other: 1}, "limits": {other: 2}},
            },
            "server.resources",
            f"a target of {kind} in percent is a share of what is requested: add"
            f" server.resources.requests.{resource}, or write the target as a quantity",
        )
        for kind, resource, other in (("CPU", "cpu", "memory"), ("Memory", "memory", "cpu"))
    ),
    *(
        bad(
            {
                "scaling": _automatic({**_REQUESTS, "type": kind}),
                "server.metrics": REMOVE,
                "rollout": {},
            },
            "server.metrics",
            "scaling by RequestsPerSecond and Concurrency needs the pods' own counters: add"
            " server.metrics with port, path and profile",
        )
        for kind in ("RequestsPerSecond", "Concurrency")
    ),
    bad(
        {"scaling": _automatic(_REQUESTS), "server.metrics.profile": "ours"},
        "server.metrics",
        "scaling by RequestsPerSecond and Concurrency knows no profiles of your own: write type"
        " External, with a query",
    ),
    bad(
        {
            "scaling": _automatic({**_REQUESTS, "type": "Concurrency"}),
            "server.metrics.profile": "TorchServe",
            "rollout": {},
        },
        "server.metrics",
        "profile TorchServe: TorchServe has no histogram of latencies; scale by RequestsPerSecond",
    ),
    *(
        bad(
            {"scaling": {"replicas": 3, "disruptionBudget": {"maxUnavailable": value}}},
            "scaling.disruptionBudget.maxUnavailable",
            'write a number of pods such as 1, or a share such as "10%"',
        )
        for value in (-1, "101%", "half")
    ),
    bad(
        {"scaling": _automatic(behavior={"scaleUp": {"policies": []}})},
        "scaling.behavior.scaleUp.policies",
        "at least 1 must be given",
        server_says="should have at least 1 items",
    ),
    bad(
        {"scaling": _automatic(behavior={"scaleDown": {"stabilizationWindowSeconds": 3601}})},
        "scaling.behavior.scaleDown.stabilizationWindowSeconds",
        "write 3600 or less",
        server_says="should be less than or equal to 3600",
    ),
    # Notifications
    *(
        bad(
            {"notifications": [{**_OPS, "text": text}]},
            "notifications[0].text",
            "between {{ and }} write one of namespace, name, model, version, revision, event,"
            " reason, message, step, stable, url",
        )
        for text in ("{{ name }}", "{{name", "{{7*7}}", "{{secret}}", "{{{name}}}")
    ),
    bad(
        {"notifications": [{**_OPS, "type": "Pager"}]},
        "notifications[0].type",
        "write one of 'Webhook', 'Slack' or 'Teams'",
        server_says='supported values: "Webhook", "Slack", "Teams"',
    ),
    bad(
        {"notifications": [{**_OPS, "secretRef": {"name": "chat", "key": "../x"}}]},
        "notifications[0].secretRef.key",
        "write a key of a Secret, such as url",
    ),
    bad(
        {"notifications": [_OPS, {**_OPS, "type": "Teams"}]},
        "notifications",
        "two entries share name ops",
        server_names="spec.notifications[1]",
        server_says='Duplicate value: {"name":"ops"}',
    ),
    # Traffic
    bad(
        {"traffic": {"router": "GatewayAPI"}},
        "traffic.parentRefs",
        "router GatewayAPI needs parentRefs: name the Gateway to attach to",
    ),
    *(
        bad(
            {"server.grpcPort": 9000, "traffic": {**GRPC, name: value}},
            f"traffic.{name}",
            "protocol GRPC is routed by host names and headers, and each call has a deadline of its"
            " own: remove paths and timeouts",
            server_names="spec.traffic",
        )
        for name, value in (("paths", [{"value": "/a"}]), ("timeouts", {"request": "3s"}))
    ),
    bad(
        {"traffic": GRPC},
        "server.grpcPort",
        "traffic.protocol GRPC needs a port to lead to: add server.grpcPort",
    ),
    *(
        bad(
            {"server.grpcPort": port},
            "server.grpcPort",
            "gRPC needs a port of its own, other than port and metrics.port",
        )
        for port in (8080, 8082)
    ),
    bad(
        {"traffic": {"router": "Replicas", "parentRefs": [{"name": "public"}]}},
        "traffic.parentRefs",
        "router Replicas uses no gateway: remove parentRefs, or choose GatewayAPI",
    ),
    *(
        bad(
            {"traffic": {"router": "Replicas", name: value}},
            f"traffic.{name}",
            "router Replicas has a Service alone: remove hostnames, paths and timeouts, or choose"
            " another router",
            server_names="spec.traffic",
        )
        for name, value in (("hostnames", ["a.example"]), ("timeouts", {"request": "3s"}))
    ),
    bad(
        {"traffic": {"timeouts": {"request": "3s"}}},
        "traffic.timeouts",
        "timeouts are a gateway's business: add parentRefs, or hostnames",
    ),
    bad(
        {"traffic": {**TRAEFIK, "parentRefs": [{"name": "public"}]}},
        "traffic.parentRefs",
        "router Traefik answers at Traefik's entry points by host name, not through a Gateway:"
        " remove parentRefs, or choose GatewayAPI",
    ),
    bad(
        {"traffic": {"router": "Traefik"}},
        "traffic.hostnames",
        "router Traefik would answer for every host: add hostnames or paths",
    ),
    bad(
        {"traffic": {**TRAEFIK, "timeouts": {"request": "3s"}}},
        "traffic.timeouts",
        "router Traefik knows no timeout of a request: remove timeouts, or set them for the whole"
        " entry point in Traefik",
    ),
    bad(
        {"traffic": {"parentRefs": [{"name": "public"}, {"name": "public"}]}},
        "traffic.parentRefs",
        "two parentRefs are the same: remove one",
    ),
    *(
        bad(
            {"traffic": {"parentRefs": [{"name": "public", **ref}]}},
            "traffic.parentRefs[0].group",
            'write group: "" for a Service, and leave group out for a Gateway or a ListenerSet',
        )
        for ref in (
            {"kind": "Service"},
            {"kind": "Service", "group": "gateway.networking.k8s.io"},
            {"group": ""},
            {"kind": "ListenerSet", "group": ""},
        )
    ),
    bad(
        {"traffic": {"parentRefs": [{"name": "public", "group": "networking.istio.io"}]}},
        "traffic.parentRefs[0].group",
        'write gateway.networking.k8s.io, or "" for a Service',
    ),
    bad(
        {
            "traffic": {
                "router": "Istio",
                "hostnames": ["a.example"],
                "parentRefs": [{"name": "public", "kind": "ListenerSet"}],
            }
        },
        "traffic.parentRefs",
        "router Istio attaches to Istio's own Gateways: remove kind and group, or choose"
        " GatewayAPI",
    ),
    bad(
        {"traffic": {"parentRefs": [{"name": "public", "sectionName": "A"}]}},
        "traffic.parentRefs[0].sectionName",
        "write the listener's name",
    ),
    bad(
        {"traffic": {"parentRefs": [{"name": "public"}], "hostnames": ["https://a"]}},
        "traffic.hostnames[0]",
        "write a host name such as fraud.example.com or *.example.com",
    ),
    bad(
        {"traffic": {"parentRefs": [{"name": "public"}], "paths": [{"value": "/a b"}]}},
        "traffic.paths[0].value",
        "write a path that begins with / and holds no spaces, ? or #",
    ),
    *(
        bad(
            {"traffic": {"parentRefs": [{"name": "public"}], "paths": [{"value": path}]}},
            "traffic.paths[0].value",
            "write the path without //, /./ and /../",
        )
        for path in ("/a//b", "/a/..", "/./a")
    ),
    bad(
        {"traffic": {"parentRefs": [{"name": "public"}], "timeouts": {"request": "30"}}},
        "traffic.timeouts.request",
        DURATION,
    ),
    bad(
        {"traffic": {"router": "NGINX"}},
        "traffic.router",
        "write one of 'Auto', 'GatewayAPI', 'Traefik', 'Istio' or 'Replicas'",
        server_says='supported values: "Auto", "GatewayAPI", "Traefik", "Istio", "Replicas"',
    ),
    # Steps
    bad(
        {"rollout.steps.1.weight": 100},
        "rollout.steps[1].weight",
        "100 follows by itself after the last step: leave this step out",
    ),
    bad(
        {"rollout.steps.1.weight": 0},
        "rollout.steps[1].weight",
        "write 1 or more",
        server_says="should be greater than or equal to 1",
    ),
    bad(
        {"rollout.steps.1.weight": 4},
        "rollout.steps[1].weight",
        "weights must not fall from step to step",
        server_names="spec.rollout.steps",
    ),
    bad(
        {"rollout.steps.1": {"name": "idle"}},
        "rollout.steps[1]",
        "a step of nothing but a name does nothing: give it a weight, mirror, headers, replicas,"
        " hold or approval",
    ),
    bad(
        {"rollout.steps.1.mirror": {}},
        "rollout.steps[1].mirror",
        "a canary that gets requests of its own needs no copies: write the mirror as a step of its"
        " own, before the first weight",
    ),
    bad(
        {"rollout.steps.1": {"name": "shadow", "mirror": {"percent": 10}}},
        "rollout.steps[1].mirror",
        "a canary that gets requests of its own needs no copies: steps that mirror come before the"
        " first weight",
        server_names="spec.rollout.steps",
    ),
    bad(
        {"rollout.steps.0.mirror": {"percent": 0}},
        "rollout.steps[0].mirror.percent",
        "write 1 or more",
        server_says="should be greater than or equal to 1",
    ),
    bad(
        {"rollout.steps.1.replicas": "40%"},
        "rollout.steps[1].replicas",
        "fewer pods than the weight needs: write at least as many percent as weight, or leave"
        " replicas out",
    ),
    *(
        bad(
            {"rollout.steps.1.replicas": replicas},
            "rollout.steps[1].replicas",
            'write a number of pods such as 2, or a share of stable\'s such as "50%"',
        )
        for replicas in (0, "0%", "half")
    ),
    bad(
        {"rollout.steps.0.headers": [{"name": "x canary", "value": "1"}]},
        "rollout.steps[0].headers[0].name",
        "write a header's name, such as x-canary",
    ),
    bad(
        {"rollout.steps.0.name": "full"},
        "rollout.steps[0].name",
        "full is the closing step's name: choose another",
    ),
    bad(
        {"rollout.strategy": "Canary"},
        "rollout.strategy",
        "set strategy or steps, not both: a strategy is a name for steps, and"
        " `canarium explain` prints them",
    ),
    bad(
        {"rollout.steps.1.name": "five"},
        "rollout.steps",
        "two entries share name five",
        server_names="spec.rollout.steps[1]",
        server_says='Duplicate value: {"name":"five"}',
    ),
    bad({"rollout.steps.1.name": "Five"}, "rollout.steps[1].name", LABEL),
    bad(
        {"rollout.steps.1.name": REMOVE},
        "rollout.steps[1].name",
        "is required",
        server_says=REQUIRED,
    ),
    bad({"rollout.steps.0.hold": "5 minutes"}, "rollout.steps[0].hold", DURATION),
    bad({"rollout.steps.0.hold": "1d"}, "rollout.steps[0].hold", DURATION),
    bad(
        {"rollout.steps.0.approval": "Automatic"},
        "rollout.steps[0].approval",
        "write one of 'Manual'",
        server_says='supported values: "Manual"',
    ),
    bad(
        {"rollout.steps": [{"name": f"s{n}", "weight": n} for n in range(1, 22)]},
        "rollout.steps",
        "at most 20 entries are allowed",
        server_says="Too many: 21: must have at most 20 items",
    ),
    bad({"rollout.emergencyAfter": "0s"}, "rollout.emergencyAfter", "must be at least 1s"),
    bad({"rollout.progressDeadline": "0s"}, "rollout.progressDeadline", "must be at least 1s"),
    bad(
        {"rollout.guard": {}},
        "rollout.guard.duration",
        "is required",
        server_says=REQUIRED,
    ),
    bad(
        {"rollout.guard": {"duration": "5m", "holdback": 51}},
        "rollout.guard.holdback",
        "write 50 or less",
        server_says="should be less than or equal to 50",
    ),
    bad(
        {"rollout.guard": {"duration": "5m", "holdback": -1}},
        "rollout.guard.holdback",
        "write 0 or more",
        server_says="should be greater than or equal to 0",
    ),
    bad(
        {"rollout.guard": {"duration": "0s", "holdback": 5}},
        "rollout.guard.holdback",
        "what is held back is compared with while the guard lasts: write a duration longer than 0,"
        " or leave holdback out",
    ),
    bad(
        {
            "rollout.steps.1.weight": 91,
            "rollout.guard": {"duration": "5m", "holdback": 10},
        },
        "rollout.steps[1].weight",
        "no step may have more than guard.holdback leaves after the last one: write a lower weight,"
        " or hold less back",
        server_names="spec.rollout.steps",
    ),
    bad(
        {
            "rollout.steps": REMOVE,
            "rollout.strategy": "Rolling",
            "rollout.guard": {"duration": "5m", "holdback": 26},
        },
        "rollout.guard.holdback",
        "strategy Rolling goes to 75 %: hold at most 25 % back",
    ),
    bad(
        {"rollout.paused": "yes"},
        "rollout.paused",
        "write true or false",
        server_says='must be of type boolean: "string"',
    ),
    # Experiment
    bad(
        {"rollout.steps.0.name": "experiment"},
        "rollout.steps[0].name",
        "experiment is the name of the step that rollout.experiment makes: choose another",
    ),
    bad(
        {"rollout.experiment": {"metric": "conversion"}},
        "rollout.experiment",
        "experiment.metric names none of analysis.metrics: add it there",
    ),
    bad(
        {"rollout.experiment": {"metric": "error-rate"}},
        "rollout.experiment.metric",
        "an experiment goes by a metric of your own, which counts what you are after",
        server_names="spec.rollout.experiment",
    ),
    bad(
        {**CLICKS, "rollout.experiment": {"metric": "clicks", "weight": 100}},
        "rollout.experiment.weight",
        "write 99 or less",
        server_says="should be less than or equal to 99",
    ),
    bad(
        {**CLICKS, "rollout.experiment": {"metric": "clicks", "weight": 40}},
        "rollout.experiment",
        "a step has more than the experiment that follows, and weights do not fall",
    ),
    bad(
        {
            **CLICKS,
            "rollout.experiment": {
                "metric": "clicks",
                "sticky": {"headers": [{"name": "x-variant", "value": "b"}]},
            },
        },
        "rollout.experiment",
        "with sticky.headers the front end alone says who gets the canary: leave weight out of the"
        " steps",
    ),
    bad(
        {
            **CLICKS,
            "rollout.experiment": {"metric": "clicks", "weight": 60},
            "rollout.guard": {"duration": "5m", "holdback": 41},
        },
        "rollout.experiment",
        "the experiment has more than guard.holdback leaves afterwards: write a lower weight, or"
        " hold less back",
    ),
    *(
        bad(
            {
                "rollout.steps": REMOVE,
                "rollout.strategy": strategy,
                **CLICKS,
                "rollout.experiment": {"metric": "clicks", "weight": weight - 1},
            },
            "rollout.experiment",
            f"strategy {strategy} goes to {weight} %: give the experiment at least as much, and no"
            " sticky.headers",
        )
        for strategy, weight in (("Canary", 50), ("Rolling", 75))
    ),
    bad(
        {**CLICKS, "rollout.experiment": {"metric": "clicks", "weight": 50, "sticky": {}}},
        "rollout.experiment.sticky",
        "set exactly one of cookie, headers",
    ),
    bad(
        {**CLICKS, "rollout.experiment": {"metric": "clicks", "sticky": {"cookie": "two words"}}},
        "rollout.experiment.sticky.cookie",
        "write a cookie's name, such as canarium-variant",
    ),
    bad(
        {**CLICKS, "rollout.experiment": {"metric": "clicks", "minDuration": "337h"}},
        "rollout.experiment.minDuration",
        "minDuration is longer than maxDuration (336h when left out)",
    ),
    bad(
        {f"{_METRIC}.1": _JOB, "rollout.experiment": {"metric": "smoke"}},
        "rollout.experiment.metric",
        "an experiment goes by what is counted, and a job counts nothing",
        server_names="spec.rollout.experiment",
    ),
    # Analysis
    bad(
        {"server.metrics": REMOVE},
        "server.metrics",
        "rollout.analysis needs the pods' own counters: add server.metrics with port, path"
        " and profile",
    ),
    bad(
        {"server.metrics.profile": "KServe"},
        "server.metrics",
        "profile KServe: KServe's Python servers count no errors; take source Gateway, or a metric"
        " of your own",
    ),
    bad(
        {"server.metrics.profile": "TorchServe"},
        "server.metrics",
        "profile TorchServe: TorchServe has no histogram of latencies; take source Gateway, or a"
        " metric of your own",
    ),
    *(
        bad(
            {
                "server.metrics.profile": profile,
                "server.grpcPort": 9001,
                "traffic": GRPC,
                "rollout": {"analysis": {"metrics": [{"name": "error-rate", "max": "5%"}]}},
            },
            "server.metrics",
            "profiles TorchServe, VLLM, BentoML tell no gRPC call that failed: judge error-rate by"
            " source Gateway on Istio, or by a metric of your own",
        )
        for profile in ("TorchServe", "VLLM", "BentoML")
    ),
    *(
        bad(
            {
                "server.metrics.profile": profile,
                "server.grpcPort": 9001,
                "traffic": GRPC,
                "rollout": {"analysis": {"metrics": [{"name": "latency-p99", "max": "1s"}]}},
            },
            "server.metrics",
            "profiles VLLM, BentoML count no gRPC calls: judge latency by source Gateway on Istio,"
            " or by a metric of your own",
        )
        for profile in ("VLLM", "BentoML")
    ),
    *(
        bad(
            {
                "server.metrics.profile": profile,
                "server.grpcPort": 9001,
                "traffic": GRPC,
                "rollout": {},
                "scaling": _automatic({**_REQUESTS, "type": kind}),
            },
            "server.metrics",
            "profiles VLLM, BentoML count no gRPC calls: scale by type External, with a query",
        )
        for profile, kind in (("VLLM", "RequestsPerSecond"), ("BentoML", "Concurrency"))
    ),
    bad(
        {_METRIC: []},
        _METRIC,
        "at least 1 must be given",
        server_says="should have at least 1 items",
    ),
    bad(
        {"rollout.analysis.interval": "10ms"},
        "rollout.analysis.interval",
        "must be at least 1s",
    ),
    bad({"rollout.analysis.interval": "often"}, "rollout.analysis.interval", DURATION),
    bad(
        {"rollout.analysis.onNoData": "Promote"},
        "rollout.analysis.onNoData",
        "write one of 'Hold' or 'Rollback'",
        server_says='supported values: "Hold", "Rollback"',
    ),
    bad(
        {f"{_METRIC}.0.name": "errors"},
        f"{_METRIC}[0].name",
        METRIC_NAME,
    ),
    bad(
        {f"{_METRIC}.0.web": {"url": "http://a.example", "value": "$.a"}},
        f"{_METRIC}[0].name",
        METRIC_NAME,
    ),
    bad(
        {_METRIC: [custom(web={"url": "http://a.example", "value": "$.a"})]},
        f"{_METRIC}[0].name",
        METRIC_NAME,
    ),
    bad(
        {_METRIC: [custom(max=REMOVE)]},
        f"{_METRIC}[0]",
        "set max, vsStable, or both: without a bound there is nothing to judge",
        server_names="spec.rollout.analysis",
    ),
    bad({_METRIC: [custom(max="much")]}, f"{_METRIC}[0].max", FIGURE),
    bad(
        {_METRIC: [custom(source="Pods")]},
        f"{_METRIC}[0].source",
        "source is for error-rate and latencies: what else is asked for says itself where it"
        " comes from",
    ),
    bad(
        {f"{_METRIC}.0.source": "Gateway"},
        "rollout.analysis.gateway",
        "a metric has the source Gateway: say where the gateway counts, in gateway",
    ),
    *(
        bad(
            {f"{_METRIC}.1.{field}": value},
            f"{_METRIC}[1]",
            "min, judge, direction, arguments, failureLimit and interval are for metrics with a"
            " templateRef, prometheus or web",
        )
        for field, value in {
            "min": "1%",
            "judge": "RankSum",
            "direction": "LowerIsBetter",
            "arguments": [{"name": "a", "value": "b"}],
            "failureLimit": 1,
            "interval": "5s",
        }.items()
    ),
    *(
        bad({_METRIC: [{**_JOB, field: value}]}, f"{_METRIC}[0]", ONLY_A_JOB)
        for field, value in {
            "max": "1%",
            "min": "0.5",
            "vsStable": {"maxRatio": "1.2"},
            "judge": "RankSum",
            "direction": "LowerIsBetter",
            "arguments": [{"name": "a", "value": "b"}],
            "failureLimit": 1,
            "consecutiveErrorLimit": 1,
            "interval": "5s",
        }.items()
    ),
    bad(
        {_METRIC: [{**_JOB, "web": {"url": "http://a.example", "value": "$.a"}}]},
        f"{_METRIC}[0].name",
        METRIC_NAME,
    ),
    bad(
        {_METRIC: [{"name": "smoke", "job": {}}]},
        f"{_METRIC}[0].job.image",
        "is required",
        server_says=REQUIRED,
    ),
    bad(
        {_METRIC: [{"name": "smoke", "job": {"image": "a", "timeout": "500ms"}}]},
        f"{_METRIC}[0].job.timeout",
        "must be at least 1s",
    ),
    *(
        bad(
            {_METRIC: [custom(**{"prometheus": REMOVE, source: query})]},
            f"{_METRIC}[0].{source}.timeout",
            "must be at most 60s",
        )
        for source, query in {
            "prometheus": {"query": "a", "timeout": "1m1s"},
            "web": {"url": "http://a.example", "value": "$.a", "timeout": "1h"},
        }.items()
    ),
    bad(
        {_METRIC: [{"name": "smoke", "job": {"image": "a", "env": [{"name": "CANARIUM_URL"}]}}]},
        f"{_METRIC}[0].job.env",
        "variables that begin with CANARIUM_ are given: choose another name",
    ),
    bad(
        {
            _METRIC: [
                {
                    "name": "smoke",
                    "job": {"image": "a", "volumeMounts": [{"name": "v", "mountPath": "/v"}]},
                }
            ]
        },
        "rollout.analysis",
        "every volumeMount of a job needs a volume of its name in spec.pod.volumes",
    ),
    bad(
        {_METRIC: [custom(vsStable={"minRatio": "0.9"})]},
        f"{_METRIC}[0].vsStable.minRatio",
        "minRatio is for judge RankSum: write maxIncrease or maxRatio",
    ),
    bad(
        {_METRIC: [custom(judge="RankSum", vsStable={"maxIncrease": "1%"})]},
        f"{_METRIC}[0].vsStable.maxIncrease",
        "RankSum compares by vsStable.maxRatio and minRatio, not by maxIncrease",
    ),
    *(
        bad(
            {_METRIC: [custom(prometheus={"query": "a", **wrong})]},
            f"{_METRIC}[0].prometheus",
            "set query, or total with one of bad, good",
        )
        for wrong in (
            {"total": "b"},
            {"query": REMOVE, "bad": "a"},
            {"query": REMOVE, "total": "b"},
        )
    ),
    bad(
        {_METRIC: [custom(prometheus=REMOVE, web={"url": "http://a", "total": "$.a"})]},
        f"{_METRIC}[0].web",
        "set value, or total with one of bad, good",
    ),
    bad(
        {_METRIC: [custom(prometheus={"query": "a", "address": "http://me:secret@host"})]},
        f"{_METRIC}[0].prometheus.address",
        "write a URL such as http://prometheus.monitoring:9090, without a user or password",
    ),
    bad(
        {_METRIC: [custom(templateRef=REMOVE, prometheus=REMOVE, web={"url": "ftp://a"})]},
        f"{_METRIC}[0].web.url",
        "write a URL such as http://prometheus.monitoring:9090, without a user or password",
    ),
    bad(
        {_METRIC: [custom(arguments=[{"name": "a b", "value": "c"}])]},
        f"{_METRIC}[0].arguments[0].name",
        "write letters, digits and underscores, a letter first",
    ),
    bad(
        {f"{_METRIC}.0": {"name": "error-rate"}},
        f"{_METRIC}[0]",
        "set max, vsStable, or both: without a bound there is nothing to judge",
        server_names="spec.rollout.analysis",
    ),
    bad({f"{_METRIC}.0.max": "250ms"}, f"{_METRIC}[0].max", ERROR_RATE),
    bad({f"{_METRIC}.0.max": "101%"}, f"{_METRIC}[0].max", ERROR_RATE),
    bad(
        {f"{_METRIC}.0.max": 0.05},
        f"{_METRIC}[0].max",
        "write a string (in quotes when it looks like a number)",
        server_says='must be of type string: "number"',
    ),
    bad({f"{_METRIC}.1.max": "5%"}, f"{_METRIC}[1].max", LATENCY),
    bad({f"{_METRIC}.1.max": "0ms"}, f"{_METRIC}[1].max", LATENCY),
    bad(
        {f"{_METRIC}.1.vsStable": {"maxIncrease": "1%"}},
        f"{_METRIC}[1].vsStable.maxIncrease",
        "a latency is compared by vsStable.maxRatio: maxIncrease is for error-rate",
    ),
    bad(
        {f"{_METRIC}.0.vsStable": {}},
        f"{_METRIC}[0].vsStable",
        "set exactly one of maxIncrease, maxRatio",
    ),
    bad(
        {f"{_METRIC}.0.vsStable": {"maxIncrease": "1%", "maxRatio": "2"}},
        f"{_METRIC}[0].vsStable",
        "set exactly one of maxIncrease, maxRatio",
    ),
    bad(
        {f"{_METRIC}.0.vsStable": {"maxIncrease": "half"}},
        f"{_METRIC}[0].vsStable.maxIncrease",
        RATIO,
    ),
    bad(
        {f"{_METRIC}.1.vsStable": {"maxRatio": "0.9"}},
        f"{_METRIC}[1].vsStable.maxRatio",
        FACTOR,
    ),
]
