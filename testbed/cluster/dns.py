"""Cluster DNS for the local node: CoreDNS as a process, behind the Service that pods ask.

It runs where something needs it; until then look-ups are refused at once.
"""

import http.client

from testbed.cluster.cluster import Cluster, make_list, make_manifest
from testbed.cluster.node_config import NODE_ADDRESS
from testbed.programs.binaries import COREDNS, build
from testbed.programs.ports import find_free_ports
from testbed.programs.processes import ClusterError, spawn, wait_until
from testbed.programs.progress import Progress

NAME = "coredns"
READY_SECONDS = 120.0
COREFILE = """\
cluster.local:{port} in-addr.arpa:{port} {{
    bind {address}
    ready {address}:{ready}
    errors
    kubernetes {{
        kubeconfig {kubeconfig}
        pods disabled
    }}
}}
"""


def start(cluster: Cluster, progress: Progress) -> None:
    """Start CoreDNS, unless this cluster has it already; returns when it answers."""
    if any(process.name == NAME for process in cluster.processes):
        return
    program = build(COREDNS, progress)
    port, ready = find_free_ports(2, NODE_ADDRESS)
    corefile = cluster.directory / "Corefile"
    corefile.write_text(make_corefile(port, ready, str(cluster.kubeconfig_for(NAME))))
    with progress.step("starting cluster DNS"):
        spawn(cluster.directory, NAME, [program, "-conf", corefile])
        if not wait_until(lambda: is_ready(ready), READY_SECONDS):
            raise ClusterError(f"CoreDNS is not ready: see {cluster.logs / 'coredns.log'}")
        slices = make_list([make_endpoints(port)])
        cluster.kubectl("apply", "--server-side", "-f", "-", stdin=slices)


def make_corefile(port: int, ready: int, kubeconfig: str) -> str:
    """CoreDNS's configuration; names outside the cluster are refused."""
    return COREFILE.format(address=NODE_ADDRESS, port=port, ready=ready, kubeconfig=kubeconfig)


def make_endpoints(port: int) -> dict[str, object]:
    """What turns the addressless Service ``kube-dns`` to the process."""
    return make_manifest(
        "discovery.k8s.io/v1",
        "EndpointSlice",
        "kube-dns-process",
        namespace="kube-system",
        labels={"kubernetes.io/service-name": "kube-dns"},
        addressType="IPv4",
        ports=[
            {"name": "dns", "port": port, "protocol": "UDP"},
            {"name": "dns-tcp", "port": port, "protocol": "TCP"},
        ],
        endpoints=[{"addresses": [NODE_ADDRESS], "conditions": {"ready": True}}],
    )


def is_ready(port: int) -> bool:
    """Whether CoreDNS says that it knows the cluster's Services."""
    connection = http.client.HTTPConnection(NODE_ADDRESS, port, timeout=20)
    try:
        connection.request("GET", "/ready")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
