"""The objects that the scenarios apply, as a person would write them."""

import json
from pathlib import Path
from typing import Any

import yaml

from testbed.programs.program_image import PAUSE_IMAGE

Json = dict[str, Any]
EXAMPLES = Path(__file__).parents[2] / "examples" / "iris"
PUBLIC: Json = {"name": "public", "namespace": "gateways"}


PROBE_SECONDS = 5
"A probe that takes longer failed: by less a pod isn't ready where only the machine stands still."


def read_example(version: str) -> Json:
    """What examples/iris has for a version, with probes that bear a machine that stands still."""
    name = "modeldeployment.yaml" if version == "v1" else f"versions/{version}.yaml"
    found: Json = yaml.safe_load((EXAMPLES / name).read_text())
    found["spec"]["server"]["readinessProbe"]["timeoutSeconds"] = PROBE_SECONDS
    return found


def probe(path: str, port: int) -> Json:
    """Whether a pod answers here, asked every second."""
    asked = {"httpGet": {"path": path, "port": port}, "periodSeconds": 1}
    return {**asked, "timeoutSeconds": PROBE_SECONDS}


def image(version: str) -> str:
    """The image of a version of the iris model."""
    return str(read_example(version)["spec"]["server"]["image"])


def iris(version: str, host: str, **spec: Any) -> Json:
    """The example's ModelDeployment under a host name; `spec` replaces whole fields of its spec."""
    found = read_example(version)
    traffic = {**found["spec"]["traffic"], "hostnames": [host]}
    return {**found, "spec": {**found["spec"], "traffic": traffic, **spec}}


def answering(version: str, traffic: Json, **spec: Any) -> Json:
    """A model whose pods answer every request with their version, and cost next to nothing."""
    answer = [
        {"name": "PAUSE_LISTEN", "value": ":8080"},
        {"name": "PAUSE_ANSWER", "value": json.dumps({"model_version": version})},
    ]
    server = {"image": PAUSE_IMAGE, "env": answer, "readinessProbe": probe("/", 8080)}
    return make_model({"model": {"version": version}, "server": server, "traffic": traffic, **spec})


def simulated(tag: str, **spec: Any) -> Json:
    """A ModelDeployment for nodes that only pretend to run pods: no gateway, no counters."""
    server = {"image": f"registry.example.com/iris:{tag}"}
    given = {"model": {"version": tag}, "server": server, "scaling": {"replicas": 2}}
    return make_model({**given, "rollout": {"guard": {"duration": "0s"}}, **spec})


def make_model(spec: Json) -> Json:
    """The object around a spec."""
    about = {"apiVersion": "canarium.dev/v1alpha1", "kind": "ModelDeployment"}
    return {**about, "metadata": {"name": "iris"}, "spec": spec}


def rollout(*steps: tuple[int, str], analysis: list[Json] | None = None, **fields: Any) -> Json:
    """Weight steps as (weight, hold), judged by these metrics."""
    listed = [{"name": f"w{weight}", "weight": weight, "hold": hold} for weight, hold in steps]
    judged = {"analysis": {"metrics": analysis, "minRequests": 20}} if analysis else {}
    return {"steps": listed, **judged, "guard": {"duration": "5s"}, **fields}


def gateway(name: str, port: int) -> Json:
    """A Gateway of one's own on Traefik's entry point."""
    allowed = {"namespaces": {"from": "Same"}}
    listener = {"name": "http", "protocol": "HTTP", "port": port, "allowedRoutes": allowed}
    about = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway"}
    spec = {"gatewayClassName": "traefik", "listeners": [listener]}
    return {**about, "metadata": {"name": name}, "spec": spec}


METRICS: list[Json] = read_example("v1")["spec"]["rollout"]["analysis"]["metrics"]
"The example's own bounds of error rate and latency."
