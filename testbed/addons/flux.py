"""Flux's source-controller and kustomize-controller as processes, with the rights of their pods.

Compiled from their Go modules, with the definitions and roles that these bring along. Flux's
helm-controller is not among the modules that can be had.
"""

from pathlib import Path

from testbed.addons.extensions import Kustomization, Object, apply_extensions, fetch_manifests
from testbed.addons.health import await_ready
from testbed.cluster.cluster import Cluster, make_manifest
from testbed.cluster.service_accounts import give_to, make_kubeconfig
from testbed.programs.binaries import FLUX, build
from testbed.programs.ports import find_free_ports
from testbed.programs.processes import spawn
from testbed.programs.progress import Progress

NAMESPACE = "flux-system"
SOURCE, KUSTOMIZE = "source-controller", "kustomize-controller"
MANIFESTS = {
    name: [
        Kustomization(f"{name}'s {what}", f"github.com/fluxcd/{name}", f"config/{folder}", program)
        for folder, what in (("crd", "definitions"), ("rbac", "roles"))
    ]
    for name, program in FLUX.items()
}
# A new commit ends the wait for the one before, as docs/gitops/flux.md recommends it.
CANCELS = "--feature-gates=CancelHealthCheckOnNewRevision=true"
QUICK = ("--min-retry-delay=200ms", "--max-retry-delay=2s", "--requeue-dependency=1s")


def install(cluster: Cluster, progress: Progress) -> None:
    """Run both, unless they run; returns when each says that it is ready."""
    if any(process.name == KUSTOMIZE for process in cluster.processes):
        return
    programs = {name: build(program, progress) for name, program in FLUX.items()}
    objects = [item for name in FLUX for item in make_objects(name, progress)]
    with progress.step("starting Flux"):
        apply_extensions(cluster, [make_manifest("v1", "Namespace", NAMESPACE), *objects])
        for name in FLUX:
            start(cluster, name, programs[name])


def make_objects(name: str, progress: Progress) -> list[Object]:
    """A controller's definitions, its account, and its rights."""
    definitions, rights = (fetch_manifests(wanted, progress) for wanted in MANIFESTS[name])
    account = make_manifest("v1", "ServiceAccount", name, namespace=NAMESPACE)
    return [*definitions, account, *give_to(name, NAMESPACE, rights)]


def start(cluster: Cluster, name: str, program: Path) -> None:
    """Start one as its account, and wait until it is ready."""
    directory = cluster.directory / "flux" / name
    kubeconfig = make_kubeconfig(cluster, name, NAMESPACE, directory / "kubeconfig.yaml")
    (directory / "tmp").mkdir()
    environment = {
        "KUBECONFIG": str(kubeconfig),
        "RUNTIME_NAMESPACE": NAMESPACE,
        # It clears away what an earlier one left among temporary files: not ours.
        "TMPDIR": str(directory / "tmp"),
    }
    health, metrics, artifacts = find_free_ports(3)
    flags = [
        "--log-encoding=console",
        "--enable-leader-election=false",
        f"--health-addr=127.0.0.1:{health}",
        f"--metrics-addr=127.0.0.1:{metrics}",
        *QUICK,
        *(make_storage_flags(directory, artifacts) if name == SOURCE else [CANCELS]),
    ]
    spawn(cluster.directory, name, [program, *flags], environment)
    await_ready(cluster, name, health)


def make_storage_flags(directory: Path, port: int) -> list[str]:
    """Where the source-controller keeps what it fetched, and serves it."""
    (directory / "data").mkdir()
    return [
        f"--storage-path={directory / 'data'}",
        f"--storage-addr=127.0.0.1:{port}",
        f"--storage-adv-addr=127.0.0.1:{port}",
    ]


def prepare(progress: Progress) -> None:
    """Fill the cache with all that it is made of."""
    for name, program in FLUX.items():
        build(program, progress)
        make_objects(name, progress)
