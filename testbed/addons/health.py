"""Whether a process of a cluster answers on its port of loopback."""

import http.client

from testbed.cluster.cluster import Cluster
from testbed.programs.processes import ClusterError, wait_until

READY_SECONDS = 180.0


def await_ready(cluster: Cluster, name: str, port: int, path: str = "/readyz") -> None:
    """Wait until a part says that it is ready."""
    if not wait_until(lambda: is_ready(port, path), READY_SECONDS):
        raise ClusterError(f"{name} is not ready: see {cluster.logs / f'{name}.log'}")


def is_ready(port: int, path: str = "/readyz") -> bool:
    """Whether this path on this port of loopback answers 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
