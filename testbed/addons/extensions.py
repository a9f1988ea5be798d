"""Programs that extend the apiserver (metrics, admission), run as processes outside of pods.

Their makers' own manifests are applied, taken from the Go module that the program is compiled
from, without the Deployments: the processes are users with the rights of the pods they replace.
"""

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from testbed.cluster.cluster import Cluster, make_list
from testbed.programs.binaries import KUBEBIN, GoProgram, build, fetch_module, make_bin_directory
from testbed.programs.cache import compute_key, keep
from testbed.programs.processes import ClusterError
from testbed.programs.progress import Progress

READY_SECONDS = 180
HOST = "localhost"
Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Kustomization:
    """Manifests in a Go module: ``folder`` is where its kustomization.yaml is."""

    title: str
    module: str
    folder: str
    program: GoProgram


def fetch_manifests(wanted: Kustomization, progress: Progress) -> list[Object]:
    """The objects, as kustomize renders them; kept in the cache."""
    module = (wanted.program.directory / "go.mod").read_bytes()
    key = compute_key(wanted.folder, module)
    entry = make_bin_directory() / f"{wanted.program.name}-manifests-{key}"
    if not entry.exists():
        kubebin = build(KUBEBIN, progress)
        sources = fetch_module(wanted.module, wanted.program, progress)
        with progress.step(f"rendering {wanted.title}"):
            keep(entry, lambda out: render(kubebin, sources / wanted.folder, out))
    return [item for item in yaml.safe_load_all(entry.read_text()) if item]


def render(kubebin: Path, folder: Path, out: Path) -> None:
    """Run kustomize, or raise with its last words."""
    command = [str(kubebin), "kubectl", "kustomize", str(folder)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise ClusterError(f"kustomize {folder} failed:\n{result.stderr[-2000:]}")
    out.write_text(result.stdout)


def turn_to_processes(objects: list[Object], ports: Mapping[str, int], bundle: str) -> list[Object]:
    """The objects for processes that listen on loopback.

    ``ports`` has each Service's, by name; ``bundle`` is the authority, base64 of PEM. The apiserver
    follows a Service with an external name to that name, with the port that is asked for. (An
    EndpointSlice must not have addresses of loopback.)
    """
    kept = [item for item in objects if item["kind"] != "Deployment"]
    return [turn(item, ports, bundle) for item in kept]


def turn(item: Object, ports: Mapping[str, int], bundle: str) -> Object:
    """One object, changed where it leads to a process."""
    match item["kind"]:
        case "Service":
            return {**item, "spec": {"type": "ExternalName", "externalName": HOST}}
        case "APIService":
            service = set_port(item["spec"]["service"], ports)
            spec = {k: v for k, v in item["spec"].items() if k != "insecureSkipTLSVerify"}
            return {**item, "spec": {**spec, "service": service, "caBundle": bundle}}
        case "ValidatingWebhookConfiguration":
            hooks = [turn_webhook(hook, ports, bundle) for hook in item["webhooks"]]
            return {**item, "webhooks": hooks}
        case _:
            return item


def turn_webhook(hook: Object, ports: Mapping[str, int], bundle: str) -> Object:
    """One webhook that leads to a process."""
    service = set_port(hook["clientConfig"]["service"], ports)
    return {**hook, "clientConfig": {"service": service, "caBundle": bundle}}


def set_port(service: Object, ports: Mapping[str, int]) -> Object:
    """A reference to a Service with the port of its process."""
    return {**service, "port": ports[service["name"]]}


def apply_extensions(cluster: Cluster, objects: list[Object]) -> None:
    """Apply namespaces and definitions, then the rest; wait until definitions are served."""
    first = [o for o in objects if o["kind"] in ("Namespace", "CustomResourceDefinition")]
    definitions = [o for o in first if o["kind"] == "CustomResourceDefinition"]
    for part in (first, [o for o in objects if o not in first]):
        if part:
            cluster.kubectl("apply", "--server-side", "-f", "-", stdin=make_list(part))
    for found in definitions:
        name = f"customresourcedefinition/{found['metadata']['name']}"
        cluster.kubectl("wait", "--for=condition=Established", "--timeout=90s", name)


def await_api_service(cluster: Cluster, name: str) -> None:
    """Wait until the apiserver reaches the server behind an APIService."""
    try:
        timeout = f"--timeout={READY_SECONDS}s"
        cluster.kubectl("wait", "--for=condition=Available", timeout, f"apiservice/{name}")
    except ClusterError as error:
        said = cluster.kubectl("get", f"apiservice/{name}", "-o", "jsonpath={.status.conditions}")
        raise ClusterError(f"{name} is not served: {said}: see {cluster.logs}") from error
