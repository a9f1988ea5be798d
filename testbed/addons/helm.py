"""Helm, and our chart by it: rendered, installed on a test cluster with the image built here, gone.

Values are those of charts/canarium/values.yaml; what a test doesn't say is the chart's own.
"""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from testbed.cluster.cluster import Cluster
from testbed.images.operator import OPERATOR, build_operator
from testbed.programs.binaries import HELM, build
from testbed.programs.cache import exclusive
from testbed.programs.processes import ClusterError
from testbed.programs.progress import Progress

CHART = Path(__file__).parents[2] / "charts" / "canarium"
RELEASE = "canarium"
GROUP = "canarium.dev"
NAMESPACE = "canarium"
TIMEOUT = "300s"
REPOSITORY = "registry.example.com/canarium"
Values = Mapping[str, Any]


def find_helm(progress: Progress | None = None) -> Path:
    """The helm executable; compiled when the cache doesn't have it."""
    return build(HELM, progress or Progress())


def run_helm(
    *words: str | Path,
    values: Values | None = None,
    cluster: Cluster | None = None,
    progress: Progress | None = None,
) -> str:
    """Standard output of helm, as a cluster's admin; raises ClusterError with its complaint.

    ``values``, if given, are passed as a file of values.
    """
    command = [find_helm(progress), *words]
    if cluster is not None:
        command += ["--kubeconfig", cluster.kubeconfig]
    if values is not None:
        command += ["--values", "-"]
    result = subprocess.run(
        command, input=json.dumps(values or {}), capture_output=True, text=True, check=False
    )
    if result.returncode:
        raise ClusterError(f"helm {' '.join(map(str, words))}: {result.stderr.strip()}")
    return result.stdout


def render_chart(
    values: Values | None = None,
    namespace: str = NAMESPACE,
    *,
    release: str = RELEASE,
    chart: Path = CHART,
) -> list[dict[str, Any]]:
    """The objects that the chart consists of with these values, hooks included.

    The image is named here unless a value does, since the chart wants one.
    """
    image = {"repository": REPOSITORY, **(values or {}).get("image", {})}
    given = {**(values or {}), "image": image}
    said = run_helm("template", release, chart, "--namespace", namespace, values=given)
    return [item for item in yaml.load_all(said, yaml.CSafeLoader) if item]


def install_chart(
    cluster: Cluster,
    namespace: str = NAMESPACE,
    values: Values | None = None,
    progress: Progress | None = None,
    *,
    release: str = RELEASE,
    chart: Path = CHART,
    image: Path | None = None,
) -> None:
    """Install or upgrade the operator in a namespace, which is made; returns when it is ready.

    ``image`` is the archive of another ``canarium:test`` than this checkout's.
    """
    progress = progress or Progress()
    load_operator(cluster, progress, image)
    run_helm(
        *("upgrade", "--install", release, chart, "--namespace", namespace, "--create-namespace"),
        *("--wait", "--timeout", TIMEOUT),
        values=use_image({**(values or {})}),
        cluster=cluster,
        progress=progress,
    )


def uninstall_chart(
    cluster: Cluster, namespace: str = NAMESPACE, *, release: str = RELEASE
) -> None:
    """Uninstall it; returns when its objects are gone. CRDs and models stay."""
    words = ("uninstall", release, "--namespace", namespace, "--wait", "--timeout", TIMEOUT)
    run_helm(*words, cluster=cluster)


def delete_definitions(cluster: Cluster) -> list[str]:
    """Remove Canarium's CRDs, which an uninstalled chart leaves, with their objects: their names.

    Each kind is listed first. The apiserver makes its storage at the first request for it; where
    that is the deletion's own, the deletion fails ("storage is (re)initializing"), and its next
    try can meet the conflict after which it rests until the next resync, minutes later.
    """
    found = json.loads(cluster.kubectl("get", "crd", "-o", "json"))["items"]
    names = [item["metadata"]["name"] for item in found if item["spec"]["group"] == GROUP]
    cluster.kubectl("get", ",".join(names), "--all-namespaces")
    cluster.kubectl("delete", "crd", *names)
    return names


def use_image(values: dict[str, Any]) -> dict[str, Any]:
    """Values with the image that is built here, unless they name one."""
    repository, _, tag = OPERATOR.reference.rpartition(":")
    return {"image": {"repository": repository, "tag": tag}, **values}


def load_operator(cluster: Cluster, progress: Progress, image: Path | None = None) -> None:
    """Make the operator's image known to the nodes, unless it was the last one that was."""
    archive = image or build_operator(progress)
    mark = cluster.directory / "operator-image"
    with exclusive(cluster.directory / ".operator-image.lock"):
        if not mark.exists() or mark.read_text() != str(archive):
            cluster.load_image(archive)
            mark.write_text(str(archive))
