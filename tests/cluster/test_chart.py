"""The chart: what it renders, what it refuses, and that an apiserver takes all of it.

On a control plane with simulated nodes: nothing here needs a real pod.
"""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from canarium.shell.startup_files import read_receivers

from testbed.addons.chart_files import GOLDEN, find_stale, list_cases
from testbed.addons.helm import (
    CHART,
    NAMESPACE,
    RELEASE,
    Values,
    delete_definitions,
    install_chart,
    render_chart,
    run_helm,
    uninstall_chart,
)
from testbed.cluster.cluster import Cluster, make_list, make_manifest
from testbed.programs.definitions import (
    FLUX_RELEASES,
    FLUX_SOURCES,
    PROMETHEUS_OPERATOR,
    apply_definitions,
    fetch_definitions,
)
from testbed.programs.processes import ClusterError
from testbed.programs.progress import Progress

pytestmark = [pytest.mark.timeout(900)]
EXAMPLES = Path(__file__).parents[2] / "examples" / "install"
DEPLOY = Path(__file__).parents[2] / "deploy"
INSTALLATION = Path(__file__).parents[2] / "docs" / "installation.md"
MEBIBYTE = 2**20
WEBHOOK = {"type": "Webhook", "addressFile": "/etc/canarium/notifications/audit"}
Object = dict[str, Any]


def find(objects: list[Object], kind: str, name: str = RELEASE) -> Object:
    """The one object of this kind and name."""
    (found,) = (o for o in objects if (o["kind"], o["metadata"]["name"]) == (kind, name))
    return found


def make_namespaces(cluster: Cluster, *names: str) -> None:
    """Namespaces for what is applied there."""
    items = [make_manifest("v1", "Namespace", name) for name in names]
    cluster.kubectl("apply", "--server-side", "-f", "-", stdin=make_list(items))


def list_rights(objects: list[Object]) -> set[tuple[str, str, str, str]]:
    """Kind of role, API group, resource and verb, of each rule of the operator's own roles."""
    return {
        (item["kind"], group, resource, verb)
        for item in objects
        if item["kind"] in ("ClusterRole", "Role")
        for rule in item["rules"]
        for group in rule.get("apiGroups", ())
        for resource in rule.get("resources", ())
        for verb in rule["verbs"]
    }


def test_what_is_generated_from_the_chart_is_up_to_date() -> None:
    assert find_stale() == []


@pytest.mark.parametrize("case", list_cases())
def test_helm_has_no_complaint(case: str) -> None:
    run_helm("lint", "--strict", CHART, "--values", GOLDEN / case / "values.yaml")


def test_each_schema_of_ours_is_in_the_chart_and_stays_when_it_goes() -> None:
    kept = [item for item in render_chart() if item["kind"] == "CustomResourceDefinition"]
    assert {(i["spec"]["names"]["kind"], *i["metadata"]["annotations"].values()) for i in kept} == {
        ("ClusterMetricTemplate", "keep"),
        ("MetricTemplate", "keep"),
        ("ModelDeployment", "keep"),
        ("ModelRevision", "keep"),
    }


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"replica": 3}, "additional properties 'replica' not allowed"),
        ({"replicas": 0}, "at '/replicas': minimum: got 0, want 1"),
        (
            {"operator": {"logLevel": "loud"}},
            "at '/operator/logLevel': value must be one of 'debug', 'info', 'warning', 'error'",
        ),
        (
            {"watch": {"namespaces": "fraud"}},
            "at '/watch/namespaces': got string, want array",
        ),
        (
            {"watch": {"namespaces": ["team-*"]}},
            'watch.namespaces: "team-*" will not do; list namespaces one by one, without patterns',
        ),
        (
            {"watch": {"namespaces": ["all"]}},
            "watch.namespaces: all is every namespace; leave the list empty for that",
        ),
        (
            {"image": {"repository": ""}},
            "image.repository: names no image, and there is no public one of Canarium; build it",
        ),
        (
            {"image": {"digest": "sha256:abc"}},
            'image.digest: "sha256:abc" will not do; write sha256: and 64 hexadecimal digits',
        ),
        (
            {"operator": {"allowNetworks": ["10.0.0.1"]}},
            'operator.allowNetworks: "10.0.0.1" will not do; write a network with its length',
        ),
        (
            {"admissionPolicies": {"hostnames": ["*-{namespace}.example.com"]}},
            'admissionPolicies.hostnames: "*-{namespace}.example.com" will not do; write',
        ),
        (
            {"admissionPolicies": {"hostnames": ["*/fraud"]}},
            'admissionPolicies.hostnames: "*/fraud" will not do; write host names',
        ),
        # As with the values of an older chart: `helm upgrade --reuse-values`
        ({"admissionPolicies": {"routes": None}}, "missing property 'routes'"),
        ({"prometheus": None}, "missing property 'prometheus'"),
        ({"addresses": None}, "missing property 'addresses'"),
        (
            {"addresses": {"allow": ["http://prometheus.monitoring:9090"]}},
            'addresses.allow: "http://prometheus.monitoring:9090" will not do; write host[:port]',
        ),
        (
            {"admissionPolicies": {"routes": "Never"}},
            "at '/admissionPolicies/routes': value must be one of 'Either', 'HostnamesOnly', 'Off'",
        ),
        (
            {"operator": {"extraArgs": ["--namespace=fraud"]}},
            "operator.extraArgs: --namespace is set by watch.namespaces; write it there",
        ),
        (
            {"operator": {"extraArgs": ["--no-leader-election"]}},
            "with --no-leader-election all replicas would act at once; write replicas: 1",
        ),
        (
            {"serviceAccount": {"create": False}},
            "serviceAccount: with create: false, write the name of the account that there is",
        ),
        (
            {"podDisruptionBudget": {"maxUnavailable": 2}},
            "podDisruptionBudget.maxUnavailable: 2 of 2 replicas may go at once",
        ),
        (
            {"profiles": {"Acme!": {"requests": "x"}}},
            'profiles: "Acme!" will not do; write up to 63 letters',
        ),
        (
            {"admissionPolicies": {"guardedMetadata": ["*.example.com/role"]}},
            'admissionPolicies.guardedMetadata: "*.example.com/role" will not do; write the key of',
        ),
        (
            {"admissionPolicies": {"guardedClasses": ["system-*"]}},
            'admissionPolicies.guardedClasses: "system-*" will not do; write the name of a',
        ),
        (
            {"notifications": {"platform": {"type": "Slack"}}},
            "at '/notifications': additional properties 'platform' not allowed",
        ),
        (
            {"notifications": {"receivers": {"platform": {"type": "Slack"}}}},
            "at '/notifications/receivers/platform': missing property 'addressFile'",
        ),
        (
            {"notifications": {"receivers": {"audit": {**WEBHOOK, "addressFile": "audit"}}}},
            'notifications.receivers.audit.addressFile: "audit" will not do; write the whole path',
        ),
        (
            {"notifications": {"receivers": {"audit": WEBHOOK}}},
            "notifications.receivers.audit.addressFile: nothing is mounted there; write the Secret",
        ),
        (
            {"notifications": {"existingSecret": "Chat"}},
            'notifications.existingSecret: "Chat" will not do; write the name of a Secret',
        ),
    ],
)
def test_values_that_make_no_sense_are_refused_in_a_sentence(values: Values, sentence: str) -> None:
    with pytest.raises(ClusterError) as refused:
        render_chart(values)
    assert sentence in str(refused.value)


def test_the_operator_takes_the_receivers_and_has_their_secret_where_they_say(
    tmp_path: Path,
) -> None:
    chat = {"type": "Slack", "addressFile": "/etc/canarium/notifications/chat"}
    receivers = {"audit": WEBHOOK, "chat": {**chat, "text": "{{name}}: {{message}}"}}
    objects = render_chart({"notifications": {"receivers": receivers, "existingSecret": "hooks"}})
    file = tmp_path / "notifications.yaml"
    file.write_text(find(objects, "ConfigMap")["data"][file.name])
    pod = find(objects, "Deployment")["spec"]["template"]["spec"]
    (operator,) = pod["containers"]

    assert "--notifications=/etc/canarium/config/notifications.yaml" in operator["args"]
    assert [receiver.address_file for receiver in read_receivers(str(file))] == [
        "/etc/canarium/notifications/audit",
        "/etc/canarium/notifications/chat",
    ]
    (mount,) = (each for each in operator["volumeMounts"] if each["name"] == "notifications")
    (volume,) = (each for each in pod["volumes"] if each["name"] == "notifications")
    path = "/etc/canarium/notifications"
    assert mount == {"name": "notifications", "mountPath": path, "readOnly": True}
    secret = {"secretName": "hooks", "optional": True}
    assert volume == {"name": "notifications", "secret": secret}


def test_who_mounts_the_addresses_another_way_needs_no_secret_of_the_charts() -> None:
    mount = {"name": "vault", "mountPath": "/etc/canarium/notifications"}
    values: Values = {"notifications": {"receivers": {"audit": WEBHOOK}}, "volumeMounts": [mount]}
    pod = find(render_chart(values), "Deployment")["spec"]["template"]["spec"]
    assert pod["containers"][0]["volumeMounts"][1:] == [mount]


def test_a_cluster_that_is_too_old_is_refused_before_anything_is_applied() -> None:
    with pytest.raises(ClusterError, match=r"requires kubeVersion: >=1\.30\.0-0 .* v1\.29\.4"):
        run_helm("template", RELEASE, CHART, "--kube-version", "1.29.4")


def test_the_operator_is_given_the_rights_that_its_switches_ask_for_and_no_more() -> None:
    switches = {"routers": {"gatewayAPI": False}, "autoscalers": {"hpa": False}}
    off: Values = {**switches, "jobs": {"enabled": False}, "usage": {"enabled": False}}
    of_all, of_few = (
        {right[1:3] for right in list_rights([find(render_chart(values), "ClusterRole")])}
        for values in ({}, off)
    )
    gateway = "gateway.networking.k8s.io"
    assert of_all - of_few == {
        ("batch", "jobs"),
        ("metrics.k8s.io", "pods"),
        ("autoscaling", "horizontalpodautoscalers"),
        *((gateway, name) for name in ("httproutes", "grpcroutes", "gateways", "gatewayclasses")),
        ("apiextensions.k8s.io", "customresourcedefinitions"),
    }
    arguments = find(render_chart(off), "Deployment")["spec"]["template"]["spec"]["containers"][0]
    said = [word for word in arguments["args"] if word.startswith("--disable")]
    features = ("GatewayAPI", "HPA", "Istio", "Jobs", "KEDA", "Traefik", "Usage")
    assert said == [f"--disable={feature}" for feature in features]


def test_the_rights_that_are_documented_are_those_that_the_chart_gives() -> None:
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in INSTALLATION.read_text()
        .partition("### Rights")[2]
        .partition("\n### ")[0]
        .splitlines()
        if line.startswith("| ")
    ]
    documented = {
        ("" if group == "core" else group, resource, verb)
        for group, resources, verbs, _ in rows[2:]
        for resource in resources.split(", ")
        for verb in verbs.split(", ")
    }
    values = yaml.safe_load((GOLDEN / "everything" / "values.yaml").read_text())
    objects = render_chart({**values, "userRoles": {"create": False}})
    assert documented == {right[1:] for right in list_rights(objects)}


@pytest.mark.parametrize("case", list_cases())
def test_no_right_is_a_wildcard_or_opens_a_secret_or_grants_others(case: str) -> None:
    values = yaml.safe_load((GOLDEN / case / "values.yaml").read_text())
    rights = list_rights(render_chart(values))
    words = {word for right in rights for word in right}
    assert words & {"*", "secrets", "escalate", "bind", "impersonate", "serviceaccounts"} == set()


def test_for_single_namespaces_only_what_belongs_to_none_is_read_in_the_whole_cluster() -> None:
    values: Values = {"watch": {"namespaces": ["fraud"]}, "userRoles": {"create": False}}
    rights = list_rights(render_chart(values))
    assert {right[1:] for right in rights if right[0] == "ClusterRole"} == {
        (group, name, verb)
        for group, names in (
            ("canarium.dev", ["clustermetrictemplates"]),
            ("gateway.networking.k8s.io", ["gateways", "gatewayclasses"]),
            ("apiextensions.k8s.io", ["customresourcedefinitions"]),
        )
        for name in names
        for verb in ("list", "watch")
    } | {("canarium.dev", "clustermetrictemplates/status", "patch")}


def test_people_may_write_no_status_and_no_revision() -> None:
    objects = [item for item in render_chart() if "aggregate" in str(item["metadata"])]
    writing = {
        right[2] for right in list_rights(objects) if right[3] not in ("get", "list", "watch")
    }
    assert writing == {"modeldeployments", "modeldeployments/scale", "metrictemplates"}


@pytest.mark.parametrize("case", list_cases())
def test_an_apiserver_takes_all_of_a_render(control_plane: Cluster, case: str) -> None:
    progress = Progress()
    make_namespaces(control_plane, NAMESPACE, "fraud", "search")
    apply_definitions(control_plane, fetch_definitions(PROMETHEUS_OPERATOR, progress))
    rendered = GOLDEN / case / "rendered.yaml"
    control_plane.kubectl("apply", "--server-side", "--dry-run=server", "-f", str(rendered))


def test_what_is_applied_without_helm_is_taken_where_pods_are_restricted(
    control_plane: Cluster,
) -> None:
    control_plane.kubectl("apply", "--server-side", "-f", str(DEPLOY / "namespace.yaml"))
    # A warning would say what violates the standard; kubectl turns it into a failure here.
    words = ("apply", "--server-side", "--dry-run=server", "--warnings-as-errors", "-k")
    control_plane.kubectl(*words, str(DEPLOY))


@pytest.mark.parametrize("definitions", [(FLUX_SOURCES, FLUX_RELEASES)])
def test_flux_takes_the_example(control_plane: Cluster, definitions: tuple[Any, ...]) -> None:
    make_namespaces(control_plane, "flux-system")
    for each in definitions:
        apply_definitions(control_plane, fetch_definitions(each, Progress()))
    words = ("apply", "--server-side", "--dry-run=server", "--validate=strict", "-f")
    said = control_plane.kubectl(*words, str(EXAMPLES / "flux.yaml"))
    assert len(said.splitlines()) == 3


def test_the_values_in_the_examples_are_values_of_the_chart() -> None:
    _, release, _ = yaml.safe_load_all((EXAMPLES / "flux.yaml").read_text())
    application = yaml.safe_load((EXAMPLES / "argo-cd.yaml").read_text())
    for values in (
        release["spec"]["values"],
        application["spec"]["source"]["helm"]["valuesObject"],
    ):
        image = find(render_chart(values), "Deployment")["spec"]["template"]["spec"]["containers"]
        assert image[0]["image"].startswith("registry.example.com/canarium:")


def test_a_release_fits_into_its_secret_and_leaves_the_definitions(control_plane: Cluster) -> None:
    told = {"receivers": {"audit": WEBHOOK}, "existingSecret": "hooks"}
    everything: Values = {
        "dashboards": {"enabled": True},
        "admissionPolicies": {"enabled": False},
        "notifications": told,
    }
    install_chart(control_plane, "fits", everything, release="fits-canarium")
    try:
        words = ("secret", "sh.helm.release.v1.fits-canarium.v1", "-n", "fits", "-o", "json")
        secret = json.loads(control_plane.kubectl("get", *words))
        assert len(secret["data"]["release"]) < MEBIBYTE / 2
        notes = run_helm("get", "notes", "fits-canarium", "-n", "fits", cluster=control_plane)
        assert "Told of all rollouts: audit. The addresses are in Secret hooks of this" in notes
        model = notes.partition("<<EOF\n")[2].partition("EOF")[0]
        words = ("apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-")
        control_plane.kubectl(*words, stdin=model)
    finally:
        uninstall_chart(control_plane, "fits", release="fits-canarium")
        left = delete_definitions(control_plane)
    assert len(left) == 4
