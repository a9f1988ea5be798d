import base64
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml
from canarium.errors import ConfigError
from canarium.kube.config import Cluster, load_cluster, load_in_cluster, load_kubeconfig

BEARER = "secret"


def write(folder: Path, *, user: dict[str, Any] | None = None, **cluster: Any) -> Path:
    """A kubeconfig with two contexts; the second is the current one."""
    content = {
        "current-context": "second",
        "contexts": [
            {"name": "first", "context": {"cluster": "there", "user": "me", "namespace": "risk"}},
            {"name": "second", "context": {"cluster": "here", "user": "me"}},
        ],
        "clusters": [
            {"name": "there", "cluster": {"server": "https://there:6443/"}},
            {"name": "here", "cluster": {"server": "https://here:6443"} | cluster},
        ],
        "users": [{"name": "me", "user": user or {}}],
    }
    path = folder / "config"
    path.write_text(yaml.safe_dump(content))
    return path


def test_the_current_context_is_read_unless_another_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, user={"token": BEARER})
    assert [load_kubeconfig(path), load_kubeconfig(path, "first")] == [
        Cluster(server="https://here:6443", token=BEARER),
        Cluster(server="https://there:6443", token=BEARER, namespace="risk"),
    ]


def test_certificates_come_from_data_or_from_files_beside_the_kubeconfig(tmp_path: Path) -> None:
    (tmp_path / "me.crt").write_text("CERT")
    user = {"client-certificate": "me.crt", "client-key-data": _encode("KEY")}
    path = write(tmp_path, user=user, **{"certificate-authority-data": _encode("CA")})
    assert load_kubeconfig(path) == Cluster(
        server="https://here:6443", ca="CA", certificate="CERT", key="KEY"
    )


def test_a_pod_reads_its_service_account_and_a_renewed_token(tmp_path: Path) -> None:
    for name, text in (("ca.crt", "CA"), ("token", "one\n"), ("namespace", "canarium")):
        (tmp_path / name).write_text(text)
    environment = {"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "443"}
    cluster = load_in_cluster(tmp_path, environment)
    assert cluster == Cluster(
        server="https://[fd00::1]:443",
        ca="CA",
        token_file=str(tmp_path / "token"),
        namespace="canarium",
    )
    (tmp_path / "token").write_text("two\n")
    assert cluster.read_token() == "two"


@pytest.mark.parametrize(
    ("user", "cluster", "context", "message"),
    [
        ({"exec": {"command": "aws"}}, {}, None, "logs in with 'exec', which Canarium cannot"),
        ({}, {"server": ""}, None, "names no server"),
        ({}, {}, "third", "has no context named 'third'"),
    ],
)
def test_a_kubeconfig_that_is_of_no_use_is_refused_in_a_sentence(
    tmp_path: Path,
    user: dict[str, Any],
    cluster: dict[str, Any],
    context: str | None,
    message: str,
) -> None:
    path = write(tmp_path, user=user, **cluster)
    with pytest.raises(ConfigError, match=message):
        load_kubeconfig(path, context)


def test_a_missing_or_garbled_kubeconfig_is_refused_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no kubeconfig at"):
        load_cluster(str(tmp_path / "none"))
    (tmp_path / "garbled").write_text("{")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_cluster(str(tmp_path / "garbled"))


def test_client_keys_are_in_no_file_that_others_can_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes: list[int] = []

    def load(_context: Any, *names: str) -> None:
        modes.extend(stat.S_IMODE(Path(name).stat().st_mode) for name in names)

    monkeypatch.setattr("ssl.SSLContext.load_cert_chain", load)
    cluster = Cluster(server="https://here", insecure=True, certificate="CERT", key="KEY")
    assert cluster.make_ssl_context() is not None
    assert modes == [0o600, 0o600]


def _encode(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
