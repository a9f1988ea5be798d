"""Custom resource definitions of others, taken from their Go modules and checked by their sums.

Each is kept in the cache under the hash of its source.
"""

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from tests.cluster.binaries import HERE, find_go, make_bin_directory, run_go
from tests.cluster.cache import compute_key, keep
from tests.cluster.cluster import Cluster
from tests.cluster.processes import ClusterError
from tests.cluster.progress import Progress


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
    """The directory of the definitions' files."""
    inputs = (wanted.module, wanted.version, wanted.sum, wanted.files)
    name = wanted.module.replace("/", "-")
    entry = make_bin_directory() / f"{name}-{compute_key(*inputs)}"
    if entry.exists():
        progress.cached(wanted.title)
        return entry
    with progress.step(f"fetching {wanted.title}"):
        return keep(entry, lambda out: copy_files(download(wanted, progress), wanted.files, out))


def download(wanted: Definitions, progress: Progress) -> Path:
    """The unpacked module, from Go's cache or the module proxy."""
    go, environment = find_go(progress)
    module = f"{wanted.module}@{wanted.version}"
    said = json.loads(run_go([go, "mod", "download", "-json", module], environment, HERE))
    if said["Sum"] != wanted.sum:
        raise ClusterError(f"{module} has the sum {said['Sum']}, not {wanted.sum}")
    return Path(said["Dir"])


def copy_files(module: Path, pattern: str, out: Path) -> None:
    """Copy the files that match into one directory."""
    out.mkdir()
    for file in sorted(module.glob(pattern)):
        shutil.copyfile(file, out / file.name)


def apply_definitions(cluster: Cluster, directory: Path) -> None:
    """Install definitions and wait until the apiserver serves them."""
    arguments = [word for path in sorted(directory.iterdir()) for word in ("-f", str(path))]
    cluster.kubectl("apply", "--server-side", *arguments)
    cluster.kubectl("wait", "--for=condition=Established", "--timeout=30s", *arguments)
