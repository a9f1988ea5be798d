"""Certificates, tokens and kubeconfigs of a cluster that we start ourselves.

Every component and every writer has a user of its own, so that the audit log and managedFields
can tell them apart.
"""

import json
import secrets
import subprocess
from collections.abc import Iterable
from pathlib import Path

from testbed.programs.processes import ClusterError

NODE_NAME = "local"
MASTERS = "system:masters"
SERVICE_ACCOUNTS = ("system:serviceaccounts",)
# Programs of others that run outside of pods have the rights that their makers give their pods.
METRICS_SERVER_USER = "system:serviceaccount:kube-system:metrics-server"
KEDA_USER = "system:serviceaccount:keda:keda-operator"
USERS: dict[str, tuple[str, ...]] = {
    "admin": (MASTERS,),
    "person": (MASTERS,),
    "kwok": (MASTERS,),
    "traefik": (MASTERS,),
    "coredns": (MASTERS,),
    METRICS_SERVER_USER: SERVICE_ACCOUNTS,
    KEDA_USER: SERVICE_ACCOUNTS,
    "canarium-operator": (),
    "tenant": (),
    "system:kube-controller-manager": (),
    "system:kube-scheduler": (),
    "system:kube-proxy": (),
    f"system:node:{NODE_NAME}": ("system:nodes",),
}
FRONT_PROXY = "front-proxy-client"
LIFETIME_DAYS = "3650"
# Python verifies strictly since 3.13: keys have to be identified and their use stated.
AUTHORITY = (
    "basicConstraints=critical,CA:TRUE",
    "keyUsage=critical,keyCertSign",
    "subjectKeyIdentifier=hash",
)
END_ENTITY = (
    "basicConstraints=critical,CA:FALSE",
    "keyUsage=critical,digitalSignature",
    "subjectKeyIdentifier=hash",
    "authorityKeyIdentifier=keyid",
)


def make_tokens(directory: Path) -> dict[str, str]:
    """A token for each user, written as the apiserver's ``--token-auth-file``."""
    tokens = {user: secrets.token_hex(16) for user in USERS}
    rows = [f'{tokens[user]},{user},{user},"{",".join(groups)}"' for user, groups in USERS.items()]
    write_private(directory / "tokens.csv", "\n".join(rows) + "\n")
    return tokens


def make_certificates(directory: Path, addresses: Iterable[str]) -> None:
    """An authority (ca), a serving certificate for the addresses, and a client one for kubelets.

    Also the key that signs service-account tokens (sa.key), and what the apiserver shows to the
    servers that extend it (front-proxy), with an authority of its own: whoever that one signs for
    may speak for any user.
    """
    directory.mkdir(parents=True, exist_ok=True)
    run_openssl(
        ["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", str(directory / "sa.key")]
    )
    for name in ("ca", "front-proxy-ca"):
        subject = ["-x509", "-subj", f"/CN=canarium-test-cluster-{name}"]
        make_certificate(directory, name, subject, AUTHORITY)
    names = ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"]
    serving = make_server_extensions(names, addresses)
    issue(directory / "ca", directory / "apiserver", "/CN=kube-apiserver", serving)
    kubelet_client = f"/O={MASTERS}/CN=kube-apiserver-kubelet-client"
    client = ["extendedKeyUsage=clientAuth"]
    issue(directory / "ca", directory / "kubelet-client", kubelet_client, client)
    issue(directory / "front-proxy-ca", directory / "front-proxy", f"/CN={FRONT_PROXY}", client)


def make_server_extensions(
    names: Iterable[str], addresses: Iterable[str], *, also_client: bool = False
) -> list[str]:
    """What makes a certificate one of a server that is called by these names and addresses."""
    uses = "serverAuth,clientAuth" if also_client else "serverAuth"
    subjects = [f"DNS:{name}" for name in names] + [f"IP:{address}" for address in addresses]
    return [f"extendedKeyUsage={uses}", f"subjectAltName={','.join(subjects)}"]


def issue(authority: Path, entry: Path, subject: str, extensions: Iterable[str]) -> None:
    """A key and a certificate, ``entry`` with .key and .crt; the authority is named likewise."""
    entry.parent.mkdir(parents=True, exist_ok=True)
    signed = ["-x509", "-CA", f"{authority}.crt", "-CAkey", f"{authority}.key", "-subj", subject]
    make_certificate(entry.parent, entry.name, signed, [*END_ENTITY, *extensions])


def make_certificate(
    directory: Path, name: str, arguments: Iterable[str], extensions: Iterable[str]
) -> None:
    """One key and certificate, ``name.key`` and ``name.crt``."""
    config = directory / f"{name}.cnf"
    config.write_text("[req]\ndistinguished_name=dn\n[dn]\n")
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    files = ["-keyout", f"{directory / name}.key", "-out", f"{directory / name}.crt"]
    added = [word for extension in extensions for word in ("-addext", extension)]
    request = ["req", "-new", "-config", str(config), "-days", LIFETIME_DAYS, "-sha256"]
    run_openssl([*request, *key, *files, *arguments, *added])
    config.unlink()


def run_openssl(arguments: list[str]) -> None:
    """Run openssl, or raise with what it said."""
    try:
        result = subprocess.run(
            ["openssl", *arguments], capture_output=True, text=True, check=False
        )
    except FileNotFoundError as error:
        raise ClusterError("openssl is missing: apt-get install openssl") from error
    if result.returncode:
        raise ClusterError(f"openssl {arguments[0]} failed: {result.stderr.strip()}")


def write_kubeconfig(path: Path, server: str, authority: Path, token: str) -> Path:
    """A kubeconfig with the authority inside, readable by its owner only (JSON is YAML)."""
    cluster = {"server": server, "certificate-authority": str(authority)}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "canarium", "cluster": cluster}],
        "users": [{"name": "canarium", "user": {"token": token}}],
        "contexts": [{"name": "canarium", "context": {"cluster": "canarium", "user": "canarium"}}],
        "current-context": "canarium",
    }
    write_private(path, json.dumps(config, indent=1) + "\n")
    return path


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(text)
