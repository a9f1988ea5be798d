"""What a real Traefik counts of gRPC calls: too little to judge by, which is why it is refused.

When this fails because calls that went well have a code of their own, the refusal in
routing/gateway_counters.py has had its day.
"""

from collections import Counter as Tally
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit
from urllib.request import urlopen

import grpc
import pytest

from testbed.addons.gateway import apply
from testbed.cluster.cluster import Cluster, make_manifest
from testbed.cluster.fixtures import own_cluster
from testbed.programs.ports import find_free_ports
from testbed.programs.processes import wait_until
from testbed.programs.progress import Progress
from testbed.servers.backends import make_host, make_route
from tests.cluster.test_gateway_counters import Object, find_own_address

pytestmark = [pytest.mark.timeout(600), pytest.mark.xdist_group("control-plane")]
NAMESPACE, ROUTE, SERVICE = "risk", "called", "called-5d8f7c9b64"
SECONDS = 120.0
CODES = {"Well": "OK", "Unknown": "UNKNOWN", "Internal": "INTERNAL", "Invalid": "INVALID_ARGUMENT"}
"How each method answers."


class Handler(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpcio has no types
    """Answers every method of a service."""

    def service(self, call: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        """Answer one call, or fail as a server does."""
        method = call.method.rpartition("/")[2]

        def answer(_request: bytes, context: grpc.ServicerContext) -> bytes:
            if method == "Unknown":
                raise RuntimeError("an exception that nobody handles")
            if method != "Well":
                context.abort(getattr(grpc.StatusCode, CODES[method]), "as asked")
            return b""

        return grpc.unary_unary_rpc_method_handler(answer)


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    server = grpc.server(ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers((Handler(),))
    found = server.add_insecure_port("0.0.0.0:0")
    server.start()
    yield found
    server.stop(None)


@pytest.fixture(scope="module")
def plane(port: int) -> Iterator[Cluster]:
    with own_cluster("control-plane") as cluster:
        cluster.install_gateway(Progress())
        cluster.kubectl("create", "namespace", NAMESPACE)
        rule = {"backendRefs": [{"name": SERVICE, "port": 9000}]}
        route = make_route(ROUTE, NAMESPACE, "public", rule, kind="GRPCRoute")
        apply(cluster, [*make_service(port), route])
        yield cluster


def make_service(port: int) -> list[Object]:
    """The Service as the operator makes it, and the one endpoint behind it."""
    h2c = {"name": "grpc", "port": 9000, "targetPort": port, "appProtocol": "kubernetes.io/h2c"}
    slice_ = make_manifest("discovery.k8s.io/v1", "EndpointSlice", SERVICE, namespace=NAMESPACE)
    slice_["metadata"]["labels"] = {"kubernetes.io/service-name": SERVICE}
    ready = {"addresses": [find_own_address()], "conditions": {"ready": True}}
    slice_ |= {
        "addressType": "IPv4",
        "endpoints": [ready],
        "ports": [{"name": "grpc", "port": port, "appProtocol": "kubernetes.io/h2c"}],
    }
    return [
        make_manifest("v1", "Service", SERVICE, namespace=NAMESPACE, spec={"ports": [h2c]}),
        slice_,
    ]


def call(plane: Cluster, method: str) -> str:
    """The code with which one call through the gateway ended."""
    options = [("grpc.default_authority", make_host(ROUTE))]
    with grpc.insecure_channel(
        urlsplit(plane.gateway_url or "").netloc, options=options
    ) as channel:
        try:
            channel.unary_unary(f"/a.Model/{method}")(b"", timeout=30)
        except grpc.RpcError as error:
            return str(error.code().name)
        return "OK"


def count(plane: Cluster) -> Tally[str]:
    """How many calls Traefik has counted, by its code."""
    with urlopen(plane.gateway_metrics_url or "") as answer:  # noqa: S310  # our own
        lines = answer.read().decode().splitlines()
    wanted = 'traefik_service_requests_total{code="'
    own = [line for line in lines if line.startswith(wanted) and SERVICE in line]
    assert all('protocol="grpc"' in line for line in own)
    found = Tally[str]()
    for line in own:
        found[line.removeprefix(wanted).partition('"')[0]] += int(float(line.split()[-1]))
    return found


def test_calls_that_went_well_have_the_code_of_those_that_failed(plane: Cluster) -> None:
    assert wait_until(lambda: call(plane, "Well") == "OK", SECONDS)
    before = count(plane)
    for method, code in CODES.items():
        assert [call(plane, method) for _ in range(3)] == [code] * 3
    assert wait_until(lambda: (count(plane) - before).total() == 12, SECONDS)
    assert count(plane) - before == Tally({"2": 6, "13": 3, "3": 3})


def test_calls_that_no_pod_answered_have_it_too(plane: Cluster) -> None:
    before = count(plane)
    apply(plane, make_service(find_free_ports(1)[0]))
    assert wait_until(lambda: call(plane, "Well") == "UNAVAILABLE", SECONDS)
    assert wait_until(lambda: count(plane)["2"] > before["2"], SECONDS)
    assert (count(plane) - before).keys() == {"2"}
