"""Certificates that strict clients accept, tokens that name users, files that stay private."""

import json
import subprocess
from pathlib import Path

from testbed.cluster.credentials import (
    USERS,
    issue,
    make_certificates,
    make_server_extensions,
    make_tokens,
    write_kubeconfig,
)


def verify(directory: Path, name: str, *options: str, authority: str = "ca") -> str:
    """What openssl says of a certificate under the authority, with every check that it knows."""
    trust = ["-CAfile", str(directory / f"{authority}.crt"), "-x509_strict", *options]
    command = ["openssl", "verify", *trust, str(directory / f"{name}.crt")]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    return (result.stdout + result.stderr).removeprefix(f"{directory}/").strip()


def test_the_serving_certificate_is_valid_for_every_address(tmp_path: Path) -> None:
    make_certificates(tmp_path, ["127.0.0.1", "198.19.0.1"])

    for subject in (
        ("-verify_ip", "127.0.0.1"),
        ("-verify_ip", "198.19.0.1"),
        ("-verify_hostname", "localhost"),
        ("-verify_hostname", "kubernetes.default.svc"),
    ):
        assert verify(tmp_path, "apiserver", "-purpose", "sslserver", *subject) == (
            "apiserver.crt: OK"
        )


def test_the_serving_certificate_is_not_valid_elsewhere(tmp_path: Path) -> None:
    make_certificates(tmp_path, ["127.0.0.1"])

    assert "IP address mismatch" in verify(tmp_path, "apiserver", "-verify_ip", "192.0.2.1")


def test_the_client_certificate_is_one_for_clients(tmp_path: Path) -> None:
    make_certificates(tmp_path, ["127.0.0.1"])

    assert verify(tmp_path, "kubelet-client", "-purpose", "sslclient") == "kubelet-client.crt: OK"


def test_whom_the_apiserver_is_known_by_is_signed_for_by_an_authority_of_its_own(
    tmp_path: Path,
) -> None:
    make_certificates(tmp_path, ["127.0.0.1"])
    purpose = ("-purpose", "sslclient")

    assert verify(tmp_path, "front-proxy", *purpose, authority="front-proxy-ca") == (
        "front-proxy.crt: OK"
    )
    assert "unable to get local issuer" in verify(tmp_path, "front-proxy", *purpose)
    assert "unable to get local issuer" in (
        verify(tmp_path, "kubelet-client", *purpose, authority="front-proxy-ca")
    )


def test_a_server_that_is_a_client_too_has_one_certificate_for_both(tmp_path: Path) -> None:
    make_certificates(tmp_path, ["127.0.0.1"])
    extensions = make_server_extensions(["a.b.svc"], ["127.0.0.1"], also_client=True)

    issue(tmp_path / "ca", tmp_path / "both", "/CN=both", extensions)

    named = ("-verify_hostname", "a.b.svc")
    assert verify(tmp_path, "both", "-purpose", "sslserver", *named) == "both.crt: OK"
    assert verify(tmp_path, "both", "-purpose", "sslclient") == "both.crt: OK"


def test_every_user_has_a_token_of_its_own(tmp_path: Path) -> None:
    tokens = make_tokens(tmp_path)

    assert set(tokens) == set(USERS)
    assert len(set(tokens.values())) == len(USERS)
    assert (tmp_path / "tokens.csv").read_text().splitlines()[:1] == [
        f'{tokens["admin"]},admin,admin,"system:masters"'
    ]
    assert f'{tokens["canarium-operator"]},canarium-operator,canarium-operator,""' in (
        (tmp_path / "tokens.csv").read_text()
    )


def test_a_kubeconfig_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    path = write_kubeconfig(tmp_path / "a" / "admin.yaml", "https://host:1", tmp_path / "ca", "tok")

    config = json.loads(path.read_text())
    assert config["users"] == [{"name": "canarium", "user": {"token": "tok"}}]
    assert path.stat().st_mode & 0o777 == 0o600
