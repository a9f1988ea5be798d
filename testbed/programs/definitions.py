"""Custom resource definitions of others, taken from their Go modules and checked by their sums.

Each is kept in the cache under the hash of its source.
"""

import json
import os
import subprocess
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from testbed.cluster.cluster import Cluster
from testbed.programs.binaries import HERE, find_go, make_bin_directory, run_go
from testbed.programs.cache import compute_key, keep
from testbed.programs.processes import ClusterError, wait_until
from testbed.programs.progress import Progress

SERVED_SECONDS = 90.0


@dataclass(frozen=True, slots=True)
class Definitions:
    """Files of one module: `sum` is what go.sum would say of it."""

    title: str
    module: str
    version: str
    sum: str
    files: str


GATEWAY_API = Definitions(
    "Gateway API's definitions",
    "sigs.k8s.io/gateway-api",
    "v1.5.1",
    "h1:RqVRIlkhLhUO8wOHKTLnTJA6o/1un4po4/6M1nRzdd0=",
    # The admission policy beside them (vap) only guards upgrades between channels.
    "config/crd/standard/gateway.networking.k8s.io_[!v]*.yaml",
)
EXPERIMENTAL_ROUTES = replace(
    GATEWAY_API,
    title="Gateway API's experimental HTTPRoute",
    files="config/crd/experimental/gateway.networking.k8s.io_httproutes.yaml",
)
# From 1.7 on a cookie is spelled otherwise. No gateway in the tests serves this version yet.
NEXT_GATEWAY_API = replace(
    GATEWAY_API, version="v1.7.0", sum="h1:duVnm7nO6oXfMMUWfcDoBph47CYR/ME3NGxccOVglaY="
)
NEXT_EXPERIMENTAL_ROUTES = replace(
    EXPERIMENTAL_ROUTES, version=NEXT_GATEWAY_API.version, sum=NEXT_GATEWAY_API.sum
)
TRAEFIK = Definitions(
    "Traefik's definitions",
    "github.com/traefik/traefik/v3",
    "v3.7.13",
    "h1:T8wy9KuaFzCkmXCqAzDy7t73pBDR1DHrJe3pqXpNXTw=",
    "docs/content/reference/dynamic-configuration/traefik.io_*.yaml",
)
ISTIO = Definitions(
    "Istio's definitions",
    "istio.io/api",
    "v1.31.1",
    "h1:5Yb5ihcz4YQsCkciusK7DnFpBMwRB6EFWeUKH1Atuyk=",
    "kubernetes/customresourcedefinitions.gen.yaml",
)
KEDA = Definitions(
    "KEDA's definition of ScaledObjects",
    "github.com/kedacore/keda/v2",
    "v2.21.0",
    "h1:R6z2HZvstK4RLUMxroNACzBj74xGxt3kG59b5Xc+Xps=",
    "config/crd/bases/keda.sh_scaledobjects.yaml",
)
# Of these no program runs in the tests: their definitions check what we write for them.
# Of the Prometheus operator's, ServiceMonitors and PrometheusRules: the others are large.
PROMETHEUS_OPERATOR = Definitions(
    "the Prometheus operator's definitions",
    "github.com/prometheus-operator/prometheus-operator",
    "v0.85.0",
    "h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s=",
    "example/prometheus-operator-crd/monitoring.coreos.com_[ps][re][or][mv]*[rt][uo][lr]*s.yaml",
)
FLUX_SOURCES = Definitions(
    "Flux's definitions of sources",
    "github.com/fluxcd/source-controller",
    "v1.7.0",
    "h1:/fBgS4CSmT5Jj/fjQDF92y+pC3gst1GJjgNSzY8Ff9I=",
    "config/crd/bases/source.toolkit.fluxcd.io_*repositories.yaml",
)
FLUX_RELEASES = Definitions(
    "Flux's definition of HelmReleases",
    "github.com/fluxcd/helm-controller",
    "v1.4.0",
    "h1:rkm8rmB6Na7eNc4pJOnvtXEaJ19iKluRtayHKjBxcUM=",
    "config/crd/bases/helm.toolkit.fluxcd.io_helmreleases.yaml",
)


def fetch_definitions(wanted: Definitions, progress: Progress) -> Path:
    """The directory of the definitions' files; with CANARIUM_FORMATS=newest of the newest ones."""
    if os.environ.get("CANARIUM_FORMATS") == "newest":
        wanted = find_newest(wanted, progress)
    inputs = (wanted.module, wanted.version, wanted.sum, wanted.files)
    name = wanted.module.replace("/", "-")
    entry = make_bin_directory() / f"{name}-{compute_key(*inputs)}"
    if entry.exists():
        progress.cached(wanted.title)
        return entry
    with progress.step(f"fetching {wanted.title}"):
        return keep(entry, lambda out: copy_files(download(wanted, progress), wanted.files, out))


def find_newest(wanted: Definitions, progress: Progress) -> Definitions:
    """The same of the newest version that is released, whatever its sum is."""
    go, environment = find_go(progress)
    said = run_go([go, "list", "-m", "-versions", "-json", wanted.module], environment, HERE)
    released = [v for v in json.loads(said)["Versions"] if "-" not in v]
    return replace(wanted, version=released[-1], sum="")


def download(wanted: Definitions, progress: Progress) -> Path:
    """The module's archive, from Go's cache or the module proxy.

    Not the unpacked module: a Go that is older than the module asks for has none, though nothing
    here is to be compiled.
    """
    go, environment = find_go(progress)
    module = f"{wanted.module}@{wanted.version}"
    asked: list[str | Path] = [go, "mod", "download", "-json", module]
    answer = subprocess.run(
        asked, cwd=HERE, env=environment, capture_output=True, text=True, check=False
    )
    said = json.loads(answer.stdout or "{}")
    if "Zip" not in said:
        raise ClusterError(f"{module} cannot be had:\n{said.get('Error') or answer.stderr}")
    if wanted.sum and said["Sum"] != wanted.sum:
        raise ClusterError(f"{module} has the sum {said['Sum']}, not {wanted.sum}")
    return Path(said["Zip"])


def copy_files(module: Path, pattern: str, out: Path) -> None:
    """Copy the files of a module's archive that match into one directory."""
    out.mkdir()
    with zipfile.ZipFile(module) as archive:
        for name in archive.namelist():
            path = PurePosixPath(name.partition("@")[2].partition("/")[2])
            if path.match(pattern) and len(path.parts) == len(PurePosixPath(pattern).parts):
                (out / path.name).write_bytes(archive.read(name))
    if not any(out.iterdir()):
        raise ClusterError(f"{module.name} has no {pattern}")


def apply_definitions(cluster: Cluster, directory: Path) -> None:
    """Install definitions and wait until the apiserver serves them."""
    arguments = [word for path in sorted(directory.iterdir()) for word in ("-f", str(path))]
    cluster.kubectl("apply", "--server-side", *arguments)
    await_served(cluster, *arguments)


def await_served(cluster: Cluster, *arguments: str) -> None:
    """Wait until objects of definitions, by file or by name, can be asked for by their kinds.

    That a kind is established comes before it is found: who asks for it in between is told that
    there is no such kind.
    """
    timeout = f"--timeout={SERVED_SECONDS:.0f}s"
    cluster.kubectl("wait", "--for=condition=Established", timeout, *arguments)
    names = cluster.kubectl("get", *arguments, "-o", "name").split()
    kinds = ",".join(name.rpartition("/")[2] for name in names)

    def served() -> bool:
        try:
            cluster.kubectl("get", "--all-namespaces", "--output=name", kinds)
        except ClusterError:
            return False
        return True

    if not wait_until(served, SERVED_SECONDS):
        raise ClusterError(f"the apiserver does not serve all of {kinds}")
