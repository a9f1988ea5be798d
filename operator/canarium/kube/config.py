"""Where the apiserver is and how one proves who one is: from a kubeconfig, or inside a pod."""

from __future__ import annotations

import base64
import os
import ssl
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from canarium.errors import ConfigError

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


@dataclass(frozen=True, slots=True)
class Cluster:
    """One apiserver and the credentials for it.

    `ca`, `certificate` and `key` are PEM texts ("" for none). `token_file` is read again and
    again, since the kubelet renews it; `namespace` is the context's or the pod's own.
    """

    server: str
    ca: str = ""
    insecure: bool = False
    server_name: str | None = None
    token: str = ""
    token_file: str = ""
    certificate: str = ""
    key: str = ""
    scheme: str = "Bearer"
    "How a token is said; a name with its password, which the operator never has, is said as Basic."
    proxy: str | None = None
    namespace: str = "default"

    def make_ssl_context(self) -> ssl.SSLContext | None:
        """The TLS settings, or None for an apiserver on plain HTTP."""
        if not self.server.startswith("https:"):
            return None
        context = ssl.create_default_context(cadata=self.ca or None)
        if self.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.certificate:
            _load_client_certificate(context, self.certificate, self.key)
        return context

    def read_token(self) -> str:
        """The bearer token as it is now, "" when there is none."""
        if not self.token_file:
            return self.token
        return Path(self.token_file).read_text(encoding="utf-8").strip()


def load_cluster(kubeconfig: str | None = None, context: str | None = None) -> Cluster:
    """Find the cluster the way kubectl does: the file named, $KUBECONFIG, the pod, ~/.kube/config.

    Raises `ConfigError` with a sentence that says what is missing.
    """
    if kubeconfig is None and context is None and _runs_in_pod():
        return load_in_cluster(SERVICE_ACCOUNT, os.environ)
    path = kubeconfig or os.environ.get("KUBECONFIG") or "~/.kube/config"
    return load_kubeconfig(_first_existing(path), context)


def load_in_cluster(folder: Path, environment: os._Environ[str] | dict[str, str]) -> Cluster:
    """The cluster whose pod this process runs in, from its service account's folder."""
    host, port = environment["KUBERNETES_SERVICE_HOST"], environment["KUBERNETES_SERVICE_PORT"]
    name = f"[{host}]" if ":" in host else host
    return Cluster(
        server=f"https://{name}:{port}",
        ca=(folder / "ca.crt").read_text(encoding="utf-8"),
        token_file=str(folder / "token"),
        namespace=(folder / "namespace").read_text(encoding="utf-8").strip(),
    )


def load_kubeconfig(path: Path, context: str | None = None) -> Cluster:
    """Read one context (the current one when none is named) of a kubeconfig file."""
    content = _read_yaml(path)
    name = context or content.get("current-context") or ""
    chosen = _pick(content, "contexts", "context", name, path)
    cluster = _pick(content, "clusters", "cluster", chosen.get("cluster", ""), path)
    user = _pick(content, "users", "user", chosen["user"], path) if chosen.get("user") else {}
    found = _parse_user(_parse_cluster(cluster, path), user, path)
    return replace(found, namespace=chosen.get("namespace") or "default")


def _runs_in_pod() -> bool:
    explicit = os.environ.get("KUBECONFIG")
    return not explicit and "KUBERNETES_SERVICE_HOST" in os.environ and SERVICE_ACCOUNT.is_dir()


def _first_existing(paths: str) -> Path:
    candidates = [Path(part).expanduser() for part in paths.split(os.pathsep) if part]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    raise ConfigError(f"no kubeconfig at {paths}: name one with --kubeconfig or $KUBECONFIG")


def _read_yaml(path: Path) -> dict[str, Any]:
    import yaml  # noqa: PLC0415 - not needed inside a pod

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise ConfigError(f"the kubeconfig {path} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"the kubeconfig {path} is not a mapping")
    return content


def _pick(content: dict[str, Any], section: str, key: str, name: str, path: Path) -> dict[str, Any]:
    for item in content.get(section) or ():
        if item.get("name") == name:
            found: dict[str, Any] = item.get(key) or {}
            return found
    raise ConfigError(f"the kubeconfig {path} has no {key} named {name!r}")


def _parse_cluster(cluster: dict[str, Any], path: Path) -> Cluster:
    if not cluster.get("server"):
        raise ConfigError(f"the kubeconfig {path} names no server")
    return Cluster(
        server=str(cluster["server"]).rstrip("/"),
        ca=_read_pem(cluster, "certificate-authority", path),
        insecure=bool(cluster.get("insecure-skip-tls-verify")),
        server_name=cluster.get("tls-server-name"),
        proxy=cluster.get("proxy-url"),
    )


def _parse_user(cluster: Cluster, user: dict[str, Any], path: Path) -> Cluster:
    for unsupported in ("exec", "auth-provider", "username"):
        if user.get(unsupported):
            raise ConfigError(
                f"the kubeconfig {path} logs in with {unsupported!r}, which Canarium cannot: "
                "use a token or a client certificate, such as a service account's"
            )
    return replace(
        cluster,
        token=user.get("token") or "",
        token_file=_resolve(user["tokenFile"], path) if user.get("tokenFile") else "",
        certificate=_read_pem(user, "client-certificate", path),
        key=_read_pem(user, "client-key", path),
    )


def _read_pem(source: dict[str, Any], name: str, path: Path) -> str:
    # What people write between certificates may be in any letters; Python's ssl takes only ASCII.
    data = source.get(f"{name}-data")
    if data:
        return base64.b64decode(data).decode("ascii", "ignore")
    return read_pem_file(_resolve(source[name], path)) if source.get(name) else ""


def read_pem_file(name: str | None) -> str:
    """The text of a file with certificates or a key, "" for none."""
    return Path(name).read_text("ascii", "ignore") if name else ""


def _resolve(name: str, path: Path) -> str:
    """Paths in a kubeconfig are relative to the file itself."""
    return str(path.parent / Path(name).expanduser())


def _load_client_certificate(context: ssl.SSLContext, certificate: str, key: str) -> None:
    """Python's ssl loads certificates from files only: private ones, gone again at once.

    A certificate without a key has it in the same text.
    """
    with ExitStack() as stack:
        files = [stack.enter_context(tempfile.NamedTemporaryFile("w")) for _ in range(2)]
        for file, text in zip(files, (certificate, key or certificate), strict=True):
            file.write(text)
            file.flush()
        context.load_cert_chain(files[0].name, files[1].name)
