"""An operator with the chart's own account that lacks something: it says what, and serves the rest.

On a control plane with simulated pods; the operator is a process with the account's token.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from testbed.addons.helm import RELEASE, delete_definitions, install_chart, uninstall_chart
from testbed.cluster.cluster import Cluster, make_list, make_manifest
from testbed.programs.ports import find_free_ports
from testbed.programs.processes import wait_until

OPS, RIGHTS, NO_RIGHTS = "rights-ops", "rights-some", "rights-none"
SECONDS = 180.0
MODEL = {
    "model": {"version": "1"},
    "server": {"image": "registry.example.com/iris:1"},
    "rollout": {"steps": [{"name": "fifth", "weight": 20, "hold": "1m"}]},
}


def make_kubeconfig(cluster: Cluster, path: Path) -> Path:
    """The kubeconfig of the chart's ServiceAccount."""
    token = cluster.kubectl("create", "token", RELEASE, "-n", OPS).strip()
    content = yaml.safe_load(cluster.kubeconfig.read_text())
    content["users"] = [
        {"name": user["name"], "user": {"token": token}} for user in content["users"]
    ]
    path.write_text(yaml.safe_dump(content))
    return path


@contextmanager
def running(kubeconfig: Path, *options: str) -> Iterator[str]:
    """The operator as a process; the address of its probes."""
    address = f"127.0.0.1:{find_free_ports(1)[0]}"
    command = [sys.executable, "-m", "canarium", "operator", "run", "--kubeconfig"]
    with subprocess.Popen(
        [*command, str(kubeconfig), "--probe-address", address, *options]
    ) as process:
        try:
            yield address
        finally:
            process.terminate()


def read_ready(address: str) -> tuple[int, list[str]]:
    """The status and the lines of /readyz; 0 when nobody answers."""
    command = [sys.executable, "-m", "canarium", "operator", "check", "--timeout", "0"]
    said = subprocess.run(
        [*command, "--address", address], capture_output=True, text=True, check=False
    )
    return said.returncode, said.stdout.splitlines()


def begins_with(said: tuple[int, list[str]], *words: str) -> bool:
    """Whether something is missing, and the first lines begin with these words."""
    code, lines = said
    heads = [line[: len(word)] for line, word in zip(lines, words, strict=False)]
    return (code, heads) == (1, list(words))


def read_phase(cluster: Cluster, namespace: str) -> str:
    """The phase of the model there, "" when nobody has looked at it."""
    words = ("get", "mdep/iris", "-n", namespace, "-o", "jsonpath={.status.phase}")
    return cluster.kubectl(*words)


@pytest.mark.timeout(900)
def test_a_namespace_without_a_role_is_told_of_and_taken_up_once_it_has_one(
    control_plane: Cluster, tmp_path: Path
) -> None:
    cluster = control_plane
    names = (OPS, RIGHTS, NO_RIGHTS)
    cluster.kubectl(
        *("apply", "--server-side", "-f", "-"),
        stdin=make_list([make_manifest("v1", "Namespace", name) for name in names]),
    )
    chart = {"replicas": 1, "userRoles": {"create": False}, "admissionPolicies": {"enabled": False}}
    install_chart(cluster, OPS, {**chart, "watch": {"namespaces": [RIGHTS]}})
    models = [
        make_manifest(
            "canarium.dev/v1alpha1", "ModelDeployment", "iris", namespace=name, spec=MODEL
        )
        for name in (RIGHTS, NO_RIGHTS)
    ]
    cluster.kubectl("apply", "--server-side", "-f", "-", stdin=make_list(models))
    kubeconfig = make_kubeconfig(cluster, tmp_path / "kubeconfig")
    options = ("--namespace", RIGHTS, NO_RIGHTS, "--no-leader-election", "--resync-seconds", "2")
    try:
        with running(kubeconfig, *options) as address:
            refused = f"namespace {NO_RIGHTS} is not served: 403 Forbidden"
            assert wait_until(lambda: begins_with(read_ready(address), "ok", refused), SECONDS)
            assert wait_until(lambda: read_phase(cluster, RIGHTS) == "Healthy", SECONDS)
            assert read_phase(cluster, NO_RIGHTS) == ""
            install_chart(cluster, OPS, {**chart, "watch": {"namespaces": [RIGHTS, NO_RIGHTS]}})
            assert wait_until(lambda: read_phase(cluster, NO_RIGHTS) == "Healthy", SECONDS)
    finally:
        uninstall_chart(cluster, OPS)
        cluster.kubectl("delete", "namespace", *names, "--wait=false")
        delete_definitions(cluster)


@pytest.mark.timeout(600)
def test_a_schema_that_was_forgotten_is_named(control_plane: Cluster, tmp_path: Path) -> None:
    options = ("--no-leader-election", "--lease-namespace", "default")
    folder = Path(__file__).parents[2] / "crds"
    present = [str(path) for path in folder.glob("*.yaml") if "modelrevisions" not in path.name]
    words = [word for path in present for word in ("-f", path)]
    control_plane.kubectl("apply", "--server-side", *words)
    control_plane.kubectl("wait", "--for=condition=Established", "--timeout=90s", *words)
    want = "modelrevisions: not served, so nothing can be rolled out: install Canarium's CRDs"
    try:
        with running(control_plane.kubeconfig, *options) as address:
            assert wait_until(lambda: read_ready(address) == (1, [want]), SECONDS)
    finally:
        delete_definitions(control_plane)
