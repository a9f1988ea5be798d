"""Argo CD's application controller and repo server as processes, with the rights of their pods.

Compiled from its Go module, with the definitions, roles and settings of its own core installation.
Without a server there is no UI and no API: Applications are objects, as `argocd --core` has them.
Redis is Debian's. Health is asked by the script that docs/gitops shows.
"""

import secrets
import shutil
from pathlib import Path

import yaml

from testbed.addons.extensions import Kustomization, Object, apply_extensions, fetch_manifests
from testbed.addons.health import await_ready
from testbed.cluster.cluster import Cluster, make_manifest
from testbed.cluster.service_accounts import make_kubeconfig
from testbed.programs import packages
from testbed.programs.binaries import ARGO_CD, HELM, build
from testbed.programs.ports import find_free_ports
from testbed.programs.processes import ClusterError, Process, spawn, wait_until
from testbed.programs.progress import Progress

NAMESPACE = "argocd"
CONTROLLER, REPO_SERVER, REDIS = "argocd-application-controller", "argocd-repo-server", "redis"
EXAMPLE = Path(__file__).parents[2] / "examples" / "gitops" / "argo-cd.yaml"
MANIFESTS = Kustomization(
    "Argo CD's manifests", "github.com/argoproj/argo-cd/v3", "manifests/core-install", ARGO_CD
)
PODS = ("Deployment", "StatefulSet", "NetworkPolicy", "Service")
CLUSTER_WIDE = ("CustomResourceDefinition", "ClusterRole", "ClusterRoleBinding")
RESYNC_SECONDS = 1


def install(cluster: Cluster, progress: Progress) -> None:
    """Run it, unless it runs; returns when each part says that it is ready."""
    if any(process.name == CONTROLLER for process in cluster.processes):
        return
    ensure_redis(progress)
    program, tools = build(ARGO_CD, progress), find_tools(progress)
    with progress.step("starting Argo CD"):
        apply_extensions(cluster, make_objects(progress))
        apply_extensions(cluster, [make_project()])
        directory = cluster.directory / NAMESPACE
        directory.mkdir()
        redis, server, metrics, more = find_free_ports(4)
        start_redis(cluster, directory, redis)
        start_repo_server(cluster, program, tools, {"redis": redis, "port": server, "more": more})
        start_controller(cluster, program, {"redis": redis, "server": server, "metrics": metrics})


def make_objects(progress: Progress) -> list[Object]:
    """Its own manifests without pods, and our health script."""
    namespace = make_manifest("v1", "Namespace", NAMESPACE)
    kept = [item for item in fetch_manifests(MANIFESTS, progress) if item["kind"] not in PODS]
    return [namespace, *(place(adapt(item)) for item in kept)]


def make_project() -> Object:
    """The project that its server makes when it starts: everything, to everywhere."""
    anywhere = [{"namespace": "*", "server": "*"}]
    anything = {"sourceRepos": ["*"], "clusterResourceWhitelist": [{"group": "*", "kind": "*"}]}
    spec = {**anything, "destinations": anywhere}
    return place(make_manifest("argoproj.io/v1alpha1", "AppProject", "default", spec=spec))


def adapt(item: Object) -> Object:
    """Its settings with our health script, and its Secret with what its server would put there."""
    if (item["kind"], item["metadata"]["name"]) == ("ConfigMap", "argocd-cm"):
        ours = next(yaml.safe_load_all(EXAMPLE.read_text()))
        return {**item, "data": {**item.get("data", {}), **ours["data"]}}
    if (item["kind"], item["metadata"]["name"]) == ("Secret", "argocd-secret"):
        return {**item, "stringData": {"server.secretkey": secrets.token_hex(16)}}
    return item


def place(item: Object) -> Object:
    """An object in Argo CD's namespace, unless it has none."""
    if item["kind"] in CLUSTER_WIDE:
        return item
    return {**item, "metadata": {**item["metadata"], "namespace": NAMESPACE}}


def start_redis(cluster: Cluster, directory: Path, port: int) -> None:
    """Start the cache, which keeps nothing."""
    words = ["--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no"]
    process = spawn(cluster.directory, REDIS, [REDIS_SERVER, *words, "--dir", str(directory)])
    await_log(cluster, process, "Ready to accept connections")


def start_repo_server(cluster: Cluster, program: Path, tools: Path, ports: dict[str, int]) -> None:
    """Start what clones and renders."""
    directory = cluster.directory / NAMESPACE / REPO_SERVER
    environment = {
        **make_environment(cluster, REPO_SERVER, directory),
        "PATH": f"{tools}:/usr/local/bin:/usr/bin:/bin",
        "ARGOCD_GPG_ENABLED": "false",
        "ARGOCD_ASK_PASS_SOCK": str(directory / "ask-pass.sock"),
        "ARGOCD_PLUGINSOCKFILEPATH": str(directory),
        "ARGOCD_REPO_SERVER_METRICS_LISTEN_ADDRESS": "127.0.0.1",
        "HOME": str(directory),
    }
    flags = [
        f"--port={ports['port']}",
        "--address=127.0.0.1",
        f"--metrics-port={ports['more']}",
        "--disable-tls",
        f"--redis=127.0.0.1:{ports['redis']}",
        # How long a branch's commit is believed without asking Git.
        "--revision-cache-expiration=1s",
        "--logformat=text",
    ]
    spawn(cluster.directory, REPO_SERVER, [program, REPO_SERVER, *flags], environment)
    await_ready(cluster, REPO_SERVER, ports["more"], "/healthz")


def start_controller(cluster: Cluster, program: Path, ports: dict[str, int]) -> None:
    """Start what compares and syncs: every second, not every two minutes."""
    directory = cluster.directory / NAMESPACE / CONTROLLER
    environment = {
        **make_environment(cluster, CONTROLLER, directory),
        "ARGOCD_CONTROLLER_REPLICAS": "1",
        "HOSTNAME": f"{CONTROLLER}-0",
    }
    flags = [
        f"--repo-server=127.0.0.1:{ports['server']}",
        "--repo-server-plaintext",
        f"--redis=127.0.0.1:{ports['redis']}",
        f"--metrics-port={ports['metrics']}",
        f"--app-resync={RESYNC_SECONDS}",
        "--app-resync-jitter=0",
        "--status-processors=4",
        "--operation-processors=4",
        f"--namespace={NAMESPACE}",
        "--logformat=text",
    ]
    spawn(cluster.directory, CONTROLLER, [program, CONTROLLER, *flags], environment)
    await_ready(cluster, CONTROLLER, ports["metrics"], "/healthz")


def make_environment(cluster: Cluster, account: str, directory: Path) -> dict[str, str]:
    """The environment of a part that is its account, and has a folder for temporary files."""
    (directory / "tmp").mkdir(parents=True)
    kubeconfig = make_kubeconfig(cluster, account, NAMESPACE, directory / "kubeconfig.yaml")
    return {
        "KUBECONFIG": str(kubeconfig),
        "TMPDIR": str(directory / "tmp"),
        # The cluster that an Application calls its own is the kubeconfig's.
        "ARGOCD_FAKE_IN_CLUSTER": "true",
    }


def await_log(cluster: Cluster, process: Process, words: str) -> None:
    """Wait until a process has said something."""
    log = cluster.logs / f"{process.name}.log"
    if not wait_until(lambda: words in log.read_text(), 30.0):
        raise ClusterError(f"{process.name} is not ready: see {log}")


def find_tools(progress: Progress) -> Path:
    """A folder with helm, under the name by which it is called."""
    helm = build(HELM, progress)
    folder = helm.parent / f"{helm.name}-for-argo-cd"
    folder.mkdir(exist_ok=True)
    if not (folder / "helm").is_symlink():
        (folder / "helm").symlink_to(helm)
    return folder


REDIS_SERVER = "redis-server"


def ensure_redis(progress: Progress) -> None:
    """Install Debian's redis, unless it is there; no service of it is started."""
    if shutil.which(REDIS_SERVER) is not None:
        return
    if shutil.which("apt-get") is None:
        raise ClusterError("Argo CD needs redis-server: install it")
    with progress.step("installing redis"), packages.no_services_started():
        packages.run_apt("update")
        packages.run_apt("install", "--yes", "--no-install-recommends", REDIS_SERVER)
