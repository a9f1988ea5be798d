import json
from typing import Any

import pytest
from canarium.resources.pod_template import canonical_json, make_pod_template

from tests.unit.api.specs import complete

Json = dict[str, Any]


SELECTOR = {"matchLabels": {"canarium.dev/model": "fraud", "canarium.dev/revision": "7b9d6f5c88"}}
SPREAD = {
    "labelSelector": SELECTOR,
    "maxSkew": 1,
    "topologyKey": "kubernetes.io/hostname",
    "whenUnsatisfiable": "ScheduleAnyway",
}
ZONE = {"labelSelector": SELECTOR, "topologyKey": "topology.kubernetes.io/zone"}
APART = {
    "preferredDuringSchedulingIgnoredDuringExecution": [{"podAffinityTerm": ZONE, "weight": 100}]
}


def render(server: Json | None = None, **parts: Any) -> Json:
    source = {"server": {"image": "registry.example/fraud:7"} | (server or {}), **parts}
    return make_pod_template(source, model="fraud", revision="7b9d6f5c88")


def server_of(template: Json) -> Json:
    (container,) = template["spec"]["containers"]
    return dict(container)


def test_an_image_alone_makes_a_pod_that_drains_and_has_no_power() -> None:
    assert render() == {
        "metadata": {
            "labels": {
                "app.kubernetes.io/name": "fraud",
                "canarium.dev/model": "fraud",
                "canarium.dev/revision": "7b9d6f5c88",
            }
        },
        "spec": {
            "affinity": {"podAntiAffinity": APART},
            "automountServiceAccountToken": False,
            "containers": [
                {
                    "image": "registry.example/fraud:7",
                    "lifecycle": {"preStop": {"sleep": {"seconds": 5}}},
                    "name": "server",
                    "ports": [{"containerPort": 8080, "name": "http", "protocol": "TCP"}],
                    "readinessProbe": {"periodSeconds": 2, "tcpSocket": {"port": "http"}},
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "capabilities": {"drop": ["ALL"]},
                    },
                    "terminationMessagePolicy": "FallbackToLogsOnError",
                }
            ],
            "enableServiceLinks": False,
            "securityContext": {
                "runAsNonRoot": True,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "terminationGracePeriodSeconds": 35,
            "topologySpreadConstraints": [SPREAD],
        },
    }


def test_the_complete_example_renders_everything_that_it_asks_for() -> None:
    source = {part: complete()["spec"][part] for part in ("model", "server", "pod")}
    template = make_pod_template(source, model="fraud", revision="7b9d6f5c88")
    server, (sidecar,) = server_of(template), template["spec"]["initContainers"]
    asked, beside = source["server"], source["pod"]["sidecars"][0]
    assert set(template["spec"]) == set(source["pod"]) - {"labels", "annotations", "sidecars"} | {
        "automountServiceAccountToken",
        "containers",
        "enableServiceLinks",
        "initContainers",
    }
    assert set(server) == set(asked) - {"port", "grpcPort", "metrics"} | {
        "lifecycle",
        "name",
        "ports",
        "terminationMessagePolicy",
    }
    assert set(sidecar) == set(beside) | {"restartPolicy", "terminationMessagePolicy"}
    assert template["metadata"]["annotations"] == source["pod"]["annotations"]
    assert template["spec"]["terminationGracePeriodSeconds"] == 60
    assert server["readinessProbe"] == asked["readinessProbe"]


@pytest.mark.parametrize(
    ("server", "ports"),
    [
        ({"port": 9000}, {"http": 9000}),
        ({"metrics": {}}, {"http": 8080}),
        ({"metrics": {"port": 8080}}, {"http": 8080}),
        ({"port": 9000, "metrics": {"port": 8082}}, {"http": 9000, "metrics": 8082}),
        ({"grpcPort": 8081}, {"http": 8080, "grpc": 8081}),
    ],
    ids=str,
)
def test_metrics_and_grpc_have_a_port_of_their_own_only_when_it_is_another(
    server: Json, ports: dict[str, int]
) -> None:
    rendered = server_of(render(server))["ports"]
    assert {port["name"]: port["containerPort"] for port in rendered} == ports


@pytest.mark.parametrize(
    ("profile", "path"),
    [
        ("MLServer", "/v2/health/ready"),
        ("KServe", "/v2/health/ready"),
        ("Triton", "/v2/health/ready"),
        ("TorchServe", "/ping"),
        ("VLLM", "/health"),
        ("BentoML", "/readyz"),
        ("RayServe", "/-/healthz"),
    ],
)
def test_a_known_server_is_asked_whether_it_is_ready(profile: str, path: str) -> None:
    assert server_of(render({"metrics": {"profile": profile}}))["readinessProbe"] == {
        "httpGet": {"path": path, "port": "http"},
        "periodSeconds": 2,
        "timeoutSeconds": 5,
    }


@pytest.mark.parametrize(
    "server",
    [
        {},
        {"metrics": {}},
        {"metrics": {"profile": "ours"}},
        {"metrics": {"profile": "TensorFlowServing"}},
        {"port": 8001, "metrics": {"profile": "Triton"}},
        {"port": 8081, "metrics": {"profile": "MLServer"}},
    ],
    ids=str,
)
def test_a_server_that_is_unknown_or_speaks_grpc_is_ready_when_its_port_is_open(
    server: Json,
) -> None:
    probe = server_of(render(server))["readinessProbe"]
    assert probe == {"periodSeconds": 2, "tcpSocket": {"port": "http"}}


def test_a_probe_of_ones_own_is_kept_whole() -> None:
    probe = {"grpc": {"port": 8001}}
    server = {"readinessProbe": probe, "metrics": {"profile": "Triton"}}
    assert server_of(render(server))["readinessProbe"] == probe


def test_pods_are_kept_apart_beside_what_ties_them_to_nodes() -> None:
    need = {"matchExpressions": [{"key": "gpu", "operator": "Exists"}]}
    nodes = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [need]}}
    spec = render(pod={"affinity": {"nodeAffinity": nodes}})["spec"]
    assert spec["affinity"] == {"nodeAffinity": nodes, "podAntiAffinity": APART}
    assert spec["topologySpreadConstraints"] == [SPREAD]


def test_who_keeps_pods_apart_by_rules_of_their_own_gets_these_alone() -> None:
    term = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {}}
    rules = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    assert render(pod={"affinity": rules})["spec"]["affinity"] == rules
    constraints = [{**SPREAD, "topologyKey": "rack"}]
    spec = render(pod={"topologySpreadConstraints": constraints})["spec"]
    assert (spec["topologySpreadConstraints"], spec.get("affinity")) == (constraints, None)


def test_nobodys_labels_replace_the_operators() -> None:
    labels = {"canarium.dev/model": "other", "canarium.dev/revision": "x", "team": "risk"}
    assert render(pod={"labels": labels})["metadata"]["labels"] == {
        "app.kubernetes.io/name": "fraud",
        "canarium.dev/model": "fraud",
        "canarium.dev/revision": "7b9d6f5c88",
        "team": "risk",
    }


def test_a_name_label_of_ones_own_is_kept() -> None:
    labels = render(pod={"labels": {"app.kubernetes.io/name": "mine"}})["metadata"]["labels"]
    assert labels["app.kubernetes.io/name"] == "mine"


def test_power_that_slipped_into_a_source_is_not_rendered() -> None:
    security = {
        "allowPrivilegeEscalation": True,
        "capabilities": {"add": ["ALL"]},
        "privileged": True,
    }
    template = render(
        {"securityContext": security, "lifecycle": {}, "ports": [{"hostPort": 80}]},
        pod={
            "hostNetwork": True,
            "hostPID": True,
            "automountServiceAccountToken": True,
            "securityContext": {"seccompProfile": {"type": "Unconfined"}, "fsGroup": 1},
            "sidecars": [{"name": "a", "image": "a", "securityContext": security}],
        },
    )
    harmless = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    assert server_of(template)["securityContext"] == harmless
    assert template["spec"]["initContainers"][0]["securityContext"] == harmless
    assert template["spec"]["securityContext"] == {
        "fsGroup": 1,
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert server_of(template)["ports"] == [
        {"containerPort": 8080, "name": "http", "protocol": "TCP"}
    ]
    assert not {"hostNetwork", "hostPID"} & set(template["spec"])
    assert template["spec"]["automountServiceAccountToken"] is False


def test_a_sidecar_starts_before_the_server_and_ends_after_it() -> None:
    sidecar = {"name": "proxy", "image": "proxy:1", "ports": [{"name": "p", "containerPort": 1}]}
    assert render(pod={"sidecars": [sidecar]})["spec"]["initContainers"] == [
        {
            "image": "proxy:1",
            "name": "proxy",
            "ports": [{"containerPort": 1, "name": "p", "protocol": "TCP"}],
            "restartPolicy": "Always",
            "securityContext": {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
            },
            "terminationMessagePolicy": "FallbackToLogsOnError",
        }
    ]


def test_sources_that_mean_the_same_give_the_same_text() -> None:
    one = render({"resources": {"limits": {"cpu": "1000m", "memory": "0.5Gi"}}, "port": 8080})
    other = render({"resources": {"limits": {"memory": "512Mi", "cpu": 1}}, "args": []}, pod={})
    assert canonical_json(one) == canonical_json(other)


def test_the_text_reads_back_as_the_template() -> None:
    template = render({"env": [{"name": "WORD", "value": "é\n"}]})
    assert json.loads(canonical_json(template)) == template


@pytest.mark.parametrize(
    ("pod", "server", "refuses_root"),
    [
        ({}, {}, (True, None)),
        ({"runAsUser": 1000}, {}, (True, None)),
        ({"runAsUser": 0}, {}, (False, None)),
        ({"runAsNonRoot": False}, {}, (False, None)),
        ({"runAsNonRoot": True, "runAsUser": 0}, {}, (True, None)),
        ({}, {"runAsUser": 0}, (True, False)),
        ({}, {"runAsNonRoot": False}, (True, False)),
        ({"runAsUser": 0}, {"runAsUser": 1000, "runAsNonRoot": True}, (False, True)),
    ],
)
def test_nobody_is_root_who_did_not_ask_for_it(
    pod: Json, server: Json, refuses_root: tuple[bool, bool | None]
) -> None:
    template = render({"securityContext": server}, pod={"securityContext": pod})
    found = (template["spec"]["securityContext"], server_of(template)["securityContext"])
    assert tuple(context.get("runAsNonRoot") for context in found) == refuses_root
