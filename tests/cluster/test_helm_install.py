"""The chart on a cluster that runs pods: how soon a first model serves, `helm test`, and the end.

What is measured here, docs/installation.md has the figures of.
"""

import http.client
import json
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from testbed.addons.helm import (
    NAMESPACE,
    RELEASE,
    install_chart,
    load_operator,
    run_helm,
    uninstall_chart,
)
from testbed.cluster.cluster import Cluster
from testbed.cluster.fixtures import lend_cluster
from testbed.images import build_iris
from testbed.programs.processes import ClusterError, wait_until
from testbed.programs.progress import Progress

IRIS = Path(__file__).parents[2] / "examples" / "iris" / "modeldeployment.yaml"
FLOWER = {"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [5.1, 3.5, 1.4, 0.2]}
ADDRESS = "/etc/canarium/notifications/platform"
TELLING = {
    "notifications": {
        "receivers": {"platform": {"type": "Slack", "addressFile": ADDRESS}},
        "existingSecret": "chat",
    }
}
INSTALLED_TO_SERVING_SECONDS = 180.0
SECONDS = 120.0


def predict(cluster: Cluster) -> int:
    """The status of one request through the gateway."""
    body = json.dumps({"inputs": [FLOWER]}).encode()
    headers = {"Host": "iris.example.com", "Content-Type": "application/json"}
    connection = http.client.HTTPConnection(urlsplit(cluster.gateway_url or "").netloc, timeout=30)
    try:
        connection.request("POST", "/v2/models/iris/infer", body, headers)
        return connection.getresponse().status
    finally:
        connection.close()


def read_in_the_operator(cluster: Cluster, path: str) -> str:
    """What a file in the operator's container says; "" in a pod of before, which is on its way."""
    script = f"import os; print(os.path.exists({path!r}) and open({path!r}).read(), end='')"
    words = ("exec", f"deployment/{RELEASE}", "--", "/opt/canarium/bin/python", "-c", script)
    try:
        return cluster.kubectl("-n", NAMESPACE, *words)
    except ClusterError:
        return ""


@pytest.fixture(scope="module")
def node_cluster() -> Iterator[Cluster]:
    """A cluster that really runs pods, with the gateway."""
    with lend_cluster("auto") as cluster:
        cluster.install_gateway(Progress())
        yield cluster


@pytest.mark.timeout(1200)
def test_from_nothing_to_a_model_that_serves_and_back(node_cluster: Cluster) -> None:
    progress = Progress()
    node_cluster.load_image(build_iris(progress))
    load_operator(node_cluster, progress)
    begun = time.monotonic()
    install_chart(node_cluster, progress=progress)
    installed = time.monotonic() - begun
    node_cluster.kubectl("apply", "-f", str(IRIS))
    node_cluster.kubectl(
        "wait", "--for=jsonpath={.status.phase}=Healthy", "mdep/iris", "--timeout=180s"
    )
    # The gateway loads what it saw at most every two seconds, on a busy machine later still.
    assert wait_until(lambda: predict(node_cluster) == 200, SECONDS)
    serving = time.monotonic() - begun
    print(f"installed after {installed:.1f} s, a model serving after {serving:.1f} s")
    assert serving < INSTALLED_TO_SERVING_SECONDS
    tested = run_helm("test", RELEASE, "--namespace", NAMESPACE, "--logs", cluster=node_cluster)
    assert "Phase:          Succeeded" in tested
    node_cluster.kubectl(
        *(
            "-n",
            NAMESPACE,
            "create",
            "secret",
            "generic",
            "chat",
            "--from-literal=platform=http://x/",
        )
    )
    install_chart(node_cluster, values=TELLING, progress=progress)
    assert wait_until(lambda: read_in_the_operator(node_cluster, ADDRESS) == "http://x/", SECONDS)
    assert predict(node_cluster) == 200
    uninstall_chart(node_cluster)
    assert predict(node_cluster) == 200
    node_cluster.kubectl("delete", "-f", str(IRIS))
