"""etcd, kube-apiserver, kube-controller-manager and kube-scheduler as processes of our own.

Both kinds of cluster that we start ourselves rest on these; they differ in address only.
"""

import http.client
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from testbed.cluster.credentials import (
    FRONT_PROXY,
    make_certificates,
    make_tokens,
    write_kubeconfig,
    write_private,
)
from testbed.programs.ports import find_free_ports
from testbed.programs.processes import ClusterError, Process, read_record, spawn, wait_until

SERVICE_RANGE = "198.19.0.0/16"
SERVICE_ADDRESS = "198.19.0.1"
READY_SECONDS = 180.0
AUDIT_POLICY = """apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules: [{level: Metadata}]
"""
CLIENT_LIMITS = ["--kube-api-qps=2000", "--kube-api-burst=4000"]


@dataclass(slots=True)
class ApiServer:
    """A control plane in one directory, on one address and free ports."""

    kubebin: Path
    directory: Path
    address: str
    port: int = 0
    tokens: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """Where the apiserver answers."""
        return f"https://{self.address}:{self.port}"

    @property
    def certificates(self) -> Path:
        """The directory of keys and certificates."""
        return self.directory / "certificates"

    @property
    def audit_log(self) -> Path:
        """One JSON object a line for each answered request, without bodies."""
        return self.directory / "logs" / "audit.log"

    def kubeconfig(self, user: str) -> Path:
        """The kubeconfig of one of the users in credentials."""
        path = self.directory / "kubeconfigs" / f"{user.replace(':', '-')}.yaml"
        return write_kubeconfig(path, self.url, self.certificates / "ca.crt", self.tokens[user])

    def spawn(self, component: str, *arguments: str) -> None:
        """Start one component."""
        spawn(self.directory, component, [self.kubebin, component, *arguments])

    def start(self) -> None:
        """Start the four components; returns when the apiserver and the first controllers work."""
        make_certificates(self.certificates, ["127.0.0.1", SERVICE_ADDRESS, self.address])
        self.tokens = make_tokens(self.directory)
        write_private(self.directory / "audit-policy.yaml", AUDIT_POLICY)
        client, peer = find_free_ports(2)
        self.port = find_free_ports(1, self.address)[0]
        self.spawn("etcd", *make_etcd_flags(self.directory / "etcd", client, peer))
        self.spawn("kube-apiserver", *make_apiserver_flags(self, client))
        self.await_("/readyz", "the apiserver", lambda status: status == http.client.OK)
        self.spawn("kube-controller-manager", *make_controller_manager_flags(self))
        self.spawn("kube-scheduler", *make_scheduler_flags(self))
        account = "/api/v1/namespaces/default/serviceaccounts/default"
        self.await_(account, "the controllers", lambda status: status == http.client.OK)

    def get(self, path: str) -> int | None:
        """The status code of a GET as admin; None while nobody answers."""
        context = ssl.create_default_context(cafile=self.certificates / "ca.crt")
        connection = http.client.HTTPSConnection(
            self.address, self.port, timeout=20, context=context
        )
        try:
            headers = {"Authorization": f"Bearer {self.tokens['admin']}"}
            connection.request("GET", path, headers=headers)
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()

    def await_(self, path: str, what: str, accepts: Callable[[int | None], bool]) -> None:
        """Wait for an answer; raises when a component ends meanwhile or the time is over."""

        def settled() -> bool:
            return accepts(self.get(path)) or self.find_dead() is not None

        in_time = wait_until(settled, READY_SECONDS)
        dead = self.find_dead()
        if dead or not in_time:
            why = f"{dead.name} ended" if dead else f"not ready after {READY_SECONDS:.0f} s"
            raise ClusterError(f"{what} did not start ({why}): see {self.directory / 'logs'}")

    def find_dead(self) -> Process | None:
        """A component that no longer runs."""
        return next(
            (process for process in read_record(self.directory) if not process.is_alive()), None
        )


def make_etcd_flags(data: Path, client: int, peer: int) -> list[str]:
    """etcd on loopback that doesn't wait for the disk: a test's data may be lost."""
    urls = {"client": f"http://127.0.0.1:{client}", "peer": f"http://127.0.0.1:{peer}"}
    return [
        f"--data-dir={data}",
        f"--listen-client-urls={urls['client']}",
        f"--advertise-client-urls={urls['client']}",
        f"--listen-peer-urls={urls['peer']}",
        f"--initial-advertise-peer-urls={urls['peer']}",
        f"--initial-cluster=default={urls['peer']}",
        "--unsafe-no-fsync",
        "--quota-backend-bytes=4294967296",
        "--log-level=warn",
    ]


def make_apiserver_flags(server: ApiServer, etcd_port: int) -> list[str]:
    """Token users, RBAC, an audit log, and limits so wide that they are never what one measures."""
    keys = server.certificates
    is_loopback = server.address.startswith("127.")
    # An advertised loopback address is refused as an endpoint, so nobody advertises there.
    advertised = ["--endpoint-reconciler-type=none"] if is_loopback else []
    return [
        *advertised,
        f"--advertise-address={server.address}",
        f"--bind-address={server.address}",
        f"--secure-port={server.port}",
        f"--etcd-servers=http://127.0.0.1:{etcd_port}",
        f"--tls-cert-file={keys / 'apiserver.crt'}",
        f"--tls-private-key-file={keys / 'apiserver.key'}",
        f"--kubelet-client-certificate={keys / 'kubelet-client.crt'}",
        f"--kubelet-client-key={keys / 'kubelet-client.key'}",
        "--kubelet-preferred-address-types=InternalIP",
        f"--token-auth-file={server.directory / 'tokens.csv'}",
        "--authorization-mode=Node,RBAC",
        "--anonymous-auth=false",
        f"--client-ca-file={keys / 'ca.crt'}",
        f"--service-account-key-file={keys / 'sa.key'}",
        f"--service-account-signing-key-file={keys / 'sa.key'}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-cluster-ip-range={SERVICE_RANGE}",
        f"--audit-log-path={server.audit_log}",
        f"--audit-policy-file={server.directory / 'audit-policy.yaml'}",
        "--audit-log-maxsize=100000",
        "--max-requests-inflight=2000",
        "--max-mutating-requests-inflight=1000",
        "--allow-privileged=true",
        *make_aggregation_flags(keys),
    ]


def make_aggregation_flags(keys: Path) -> list[str]:
    """How the apiserver asks servers that extend it, and how those know that it is the one."""
    return [
        f"--proxy-client-cert-file={keys / 'front-proxy.crt'}",
        f"--proxy-client-key-file={keys / 'front-proxy.key'}",
        f"--requestheader-client-ca-file={keys / 'front-proxy-ca.crt'}",
        f"--requestheader-allowed-names={FRONT_PROXY}",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
    ]


def make_controller_manager_flags(server: ApiServer) -> list[str]:
    """Every controller under its own service account, with wide client limits."""
    return [
        f"--kubeconfig={server.kubeconfig('system:kube-controller-manager')}",
        f"--service-account-private-key-file={server.certificates / 'sa.key'}",
        f"--root-ca-file={server.certificates / 'ca.crt'}",
        "--use-service-account-credentials=true",
        "--leader-elect=false",
        "--secure-port=0",
        "--horizontal-pod-autoscaler-sync-period=5s",
        *CLIENT_LIMITS,
    ]


def make_scheduler_flags(server: ApiServer) -> list[str]:
    """The scheduler with wide client limits."""
    kubeconfig = server.kubeconfig("system:kube-scheduler")
    return [f"--kubeconfig={kubeconfig}", "--leader-elect=false", "--secure-port=0", *CLIENT_LIMITS]
