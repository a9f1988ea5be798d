"""Lines 1 and 2: what is named is in the object's own namespace, and no name changes a path."""

from __future__ import annotations

import base64
import json
import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from canarium.api.schema import KINDS, make_crd
from canarium.errors import ApiError
from canarium.kube.client import Client
from canarium.kube.config import load_kubeconfig
from canarium.kube.kinds import MODEL_DEPLOYMENTS, SECRETS
from canarium.kube.transport import HttpTransport
from yarl import URL

from testbed.scenario.manifests import Json, rollout, simulated
from testbed.scenario.scenario import condition, get_condition, phase
from testbed.servers.metric_web import Web, answering
from tests.security.estate import (
    OPERATOR,
    Estate,
    Place,
    apply_all,
    bind,
    make_namespace,
    until,
)

pytestmark = [pytest.mark.timeout(600, func_only=True)]
SECONDS = 120.0
DEPLOYMENT = next(kind for kind in KINDS if kind.plural == "modeldeployments")
OTHERS = "others"
SECRET_RULE = {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}
SCALE_RULE = {
    "apiGroups": ["canarium.dev"],
    "resources": ["modeldeployments/scale"],
    "verbs": ["get"],
}
TOKEN = base64.b64encode(b"of-the-others").decode()


def name_everywhere(name: str, **namespace: str) -> Json:
    """A spec with every kind of reference, all by one name; `namespace` beside each of them."""
    named, keyed = {"name": name, **namespace}, {"name": name, "key": "k", **namespace}
    web = {"url": "http://a.example", "value": "$.a", "secretRef": named}
    container = {"image": "a", "envFrom": [{"secretRef": named}, {"configMapRef": named}]}
    references = {"secretKeyRef": keyed, "configMapKeyRef": keyed}
    env = [{"name": n, "valueFrom": {n: ref}} for n, ref in references.items()]
    container["env"] = env
    sources = {
        "secret": {"secretName": name, **namespace},
        "configMap": named,
        "persistentVolumeClaim": {"claimName": name, **namespace},
        "projected": {"sources": [{"secret": named}, {"configMap": named}]},
    }
    volumes = [{"name": kind.lower(), kind: source} for kind, source in sources.items()]
    metrics = [
        {"name": "web", "min": "1", "web": web},
        {"name": "prometheus", "min": "1", "prometheus": {"query": "a", "secretRef": named}},
        {"name": "template", "min": "1", "templateRef": named},
        {"name": "job", "job": container},
    ]
    return {
        "server": container,
        "pod": {
            "volumes": volumes,
            "sidecars": [{"name": "s", **container}],
            "imagePullSecrets": [named],
            "serviceAccountName": name,
        },
        "rollout": {
            "analysis": {
                "metrics": metrics,
                "pods": {"secretRef": named},
                "gateway": {"address": "http://a.example", "secretRef": named},
            }
        },
        "notifications": [{"name": "n", "type": "Webhook", "secretRef": named}],
    }


PATHS = (
    "server.envFrom[0].secretRef",
    "server.envFrom[1].configMapRef",
    "server.env[0].valueFrom.secretKeyRef",
    "server.env[1].valueFrom.configMapKeyRef",
    "pod.volumes[0].secret",
    "pod.volumes[1].configMap",
    "pod.volumes[2].persistentVolumeClaim",
    "pod.volumes[3].projected.sources[0].secret",
    "pod.volumes[3].projected.sources[1].configMap",
    "pod.sidecars[0].envFrom[0].secretRef",
    "pod.sidecars[0].envFrom[1].configMapRef",
    "pod.imagePullSecrets[0]",
    "rollout.analysis.metrics[0].web.secretRef",
    "rollout.analysis.metrics[1].prometheus.secretRef",
    "rollout.analysis.metrics[2].templateRef",
    "rollout.analysis.metrics[3].job.envFrom[0].secretRef",
    "rollout.analysis.metrics[3].job.envFrom[1].configMapRef",
    "rollout.analysis.metrics[3].job.env[0].valueFrom.secretKeyRef",
    "rollout.analysis.metrics[3].job.env[1].valueFrom.configMapKeyRef",
    "pod.sidecars[0].env[0].valueFrom.secretKeyRef",
    "pod.sidecars[0].env[1].valueFrom.configMapKeyRef",
    "rollout.analysis.pods.secretRef",
    "rollout.analysis.gateway.secretRef",
    "notifications[0].secretRef",
)


def test_every_reference_that_the_schema_has_is_tried() -> None:
    """Whoever adds a reference, or a field for a namespace, meets this."""
    (version,) = make_crd(DEPLOYMENT)["spec"]["versions"]
    spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
    found = set(list_fields(spec, ""))
    tried = {re.sub(r"\[\d+\]", "[]", path) for path in PATHS}
    references = {path for path in found if path.endswith("Ref") and not HARMLESS.search(path)}

    assert references - tried == set()
    assert tried <= found | {"pod.imagePullSecrets[]"}
    assert {path for path in found if "amespace" in path} == {"traffic.parentRefs[].namespace"}


HARMLESS = re.compile(r"\.(fieldRef|resourceFieldRef)$")
"References to a field of the pod itself."


def list_fields(schema: Json, path: str) -> Iterator[str]:
    """The paths of all fields below one."""
    for name, child in schema.get("properties", {}).items():
        below = f"{path}.{name}".removeprefix(".")
        yield below
        yield from list_fields(child, below)
    if "items" in schema:
        yield from list_fields(schema["items"], f"{path}[]")


def test_no_reference_has_a_field_for_another_namespace(place: Place) -> None:
    body = simulated("v1", **name_everywhere("theirs", namespace=OTHERS))
    assert place.accepted_without_guards(body)
    said = place.refusal(body)
    assert [path for path in PATHS if f'unknown field "spec.{path}.namespace"' not in said] == []


def name_field(path: str) -> str:
    """The field of a reference that holds the name."""
    special = {"pod.volumes[0].secret": "secretName"}
    claim = {"pod.volumes[2].persistentVolumeClaim": "claimName"}
    return f"spec.{path}.{(special | claim).get(path, 'name')}: "


BAD_NAMES = ("others/theirs", "../theirs", "..", "%2e%2e%2ftheirs", "a%2fb", "a?b=c", "a#b")


@pytest.mark.parametrize("name", BAD_NAMES)
def test_no_name_can_hold_what_would_change_a_path(place: Place, name: str) -> None:
    body = simulated("v1", **name_everywhere(name))
    assert place.accepted_without_guards(body)
    said = place.refusal(body)
    fields = [*map(name_field, PATHS), "spec.pod.serviceAccountName: "]
    assert [field for field in fields if field not in said] == []


def test_a_gateway_may_be_anothers_but_its_name_is_a_name(place: Place) -> None:
    """Which namespaces a Gateway takes routes from is the Gateway's to say (test_outside)."""
    for field in ("name", "namespace", "sectionName"):
        parent = {"name": "public", field: "../a"}
        body = simulated("v1", traffic={"parentRefs": [parent]})
        assert place.accepted_without_guards(body), field
        assert f"parentRefs[0].{field}" in place.refusal(body)


OUT = f"../../{OTHERS}/secrets/theirs"
"A name that leads from one namespace's Secrets to another's."


async def test_the_operators_client_leads_no_name_out_of_its_place(
    estate: Estate, place: Place
) -> None:
    """The schema is one guard; here is the one behind it, with a name as it would be written."""
    lay_out_secret(estate)
    grant_secrets(estate, OTHERS)
    place.write(simulated("v1"))
    place.grant(OPERATOR, SCALE_RULE)
    read = partial(read_as, json.loads(estate.operator_config.read_text()))

    # Without the guard HTTP libraries follow `..` by themselves, and the apiserver decodes %2F.
    led_out = f"/api/v1/namespaces/{place.namespace}/secrets/{OUT}"
    until(lambda: read(led_out).get("data") == {"token": TOKEN}, SECONDS, "the others' Secret")
    models = f"/apis/canarium.dev/v1alpha1/namespaces/{place.namespace}/modeldeployments"
    until(lambda: read(f"{models}/iris%2Fscale")["kind"] == "Scale", SECONDS, "another resource")

    async with HttpTransport(load_kubeconfig(estate.operator_config)) as transport:
        client = Client(transport)
        for wrong in (OUT, "..", OUT.replace("/", "%2f"), "iris/scale", "iris%2Fscale"):
            for kind in (SECRETS, MODEL_DEPLOYMENTS):
                with pytest.raises(ApiError, match="cannot be part of an object's path"):
                    await client.get(kind, place.namespace, wrong)
        assert TOKEN in (await client.get(SECRETS, OTHERS, "theirs")).decode()


def read_as(config: Json, path: str) -> Json:
    """What a GET gives whose URL is made as the library makes it; a refusal is a Status."""
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    context = ssl.create_default_context(cafile=cluster["certificate-authority"])
    url = str(URL(f"{cluster['server']}{path}"))
    request = Request(url, headers={"Authorization": f"Bearer {user['token']}"})  # noqa: S310
    try:
        with urlopen(request, context=context) as answer:  # noqa: S310
            return dict(json.load(answer))
    except HTTPError as error:
        return dict(json.load(error))


def lay_out_secret(estate: Estate) -> None:
    meta = {"name": "theirs", "namespace": OTHERS}
    about = {"apiVersion": "v1", "kind": "Secret", "metadata": meta}
    apply_all(estate.cluster, [make_namespace(OTHERS), {**about, "data": {"token": TOKEN}}])
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "rules": [SECRET_RULE]}
    apply_all(estate.cluster, [role | {"metadata": {"name": "read", "namespace": OTHERS}}])


def grant_secrets(estate: Estate, namespace: str) -> None:
    """As whoever looks after another namespace does for a metric of their own."""
    found = bind("read", OPERATOR, "Role")
    found["metadata"]["namespace"] = namespace
    apply_all(estate.cluster, [found])
    estate.wait_for_right(OPERATOR, SECRET_RULE, namespace)


@contextmanager
def scored() -> Iterator[Web]:
    with answering(lambda _path, _query: {"score": 1}) as web:
        yield web


def test_a_metric_gets_the_secret_of_its_own_namespace_though_the_operator_may_read_others(
    estate: Estate, place: Place
) -> None:
    lay_out_secret(estate)
    grant_secrets(estate, OTHERS)
    place.grant(OPERATOR, SECRET_RULE, name="read")
    place.operator.start("--allow-network", "127.0.0.0/8")
    with scored() as web:
        query = {"url": web.url, "value": "$.score", "secretRef": {"name": "theirs"}}
        metric = {"name": "score", "min": "1", "web": query, "interval": "1s"}
        terms = rollout((50, "2s"), analysis=[metric], guard={"duration": "0s"})
        place.write(simulated("v1"))
        place.scenario.wait(phase("Healthy"), SECONDS)
        place.write(simulated("v2", rollout=terms))

        found = place.scenario.wait(condition("Judged", "False", "NoData"), SECONDS)
        assert get_condition(found, "Judged")["message"] == "score: there is no Secret theirs"
        assert web.authorizations == []

        # The other half: the same, once a Secret of that name is in the namespace itself.
        mine = base64.b64encode(b"of-this-namespace").decode()
        about = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "theirs"}}
        place.apply({**about, "data": {"token": mine}})
        place.scenario.wait(phase("Healthy"), 240)
    assert set(web.authorizations) == {"Bearer of-this-namespace"}
