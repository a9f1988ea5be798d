"""Credentials from a Secret: sent where they belong, and seen nowhere else."""

# what is a password here opens nothing

import ssl
import subprocess
from base64 import b64encode
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from canarium.outbound.auth import NOBODY, Credentials, read_credentials
from canarium.outbound.errors import SourceError
from canarium.outbound.fetching import Limits, OutboundRequest, fetch
from canarium.outbound.forbidden_addresses import check_address

from tests.unit.outbound.serving import make_local_session, serving


def secret(**data: str) -> dict[str, str]:
    """A Secret's data; an underscore in a name stands for a dot."""
    return {
        key.replace("_", "."): b64encode(value.encode()).decode() for key, value in data.items()
    }


def test_a_token_is_sent_as_bearer() -> None:
    assert read_credentials(secret(token="abc.def\n")).headers == {
        "Authorization": "Bearer abc.def"
    }


def test_a_user_is_sent_as_basic() -> None:
    found = read_credentials(secret(username="Aladdin", password="open sesame"))
    # The example of RFC 7617.
    assert found.headers == {"Authorization": "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="}


def test_without_a_secret_nothing_is_sent() -> None:
    assert NOBODY.headers == {}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "none of the keys token, username and password, ca.crt"),
        (secret(other="x"), "none of the keys"),
        (secret(username="me"), "no key password"),
        (secret(password="hush"), "no key username"),
        (secret(token="hush", username="me", password="hush"), "keep one of the two"),
        (secret(token=""), "token is empty or has characters"),
        (secret(token="hush\r\nX-Evil: 1"), "token is empty or has characters"),
        (secret(token="hush hush"), "token is empty or has characters"),
        (secret(username="me:hush", password="hush"), "username has a colon"),
        ({"token": "hush!"}, "token is not text in base64"),
        ({"token": b64encode(b"hush\xff").decode()}, "token is not text in base64"),
        (secret(ca_crt="hush"), "ca.crt holds no certificate in PEM format"),
        (secret(ca_crt=""), "ca.crt holds no certificate in PEM format"),
    ],
)
def test_a_secret_of_no_use_is_told_by_its_key_and_nothing_more(
    data: dict[str, str], message: str
) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        read_credentials(data)
    assert "hush" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_credentials_are_not_shown() -> None:
    assert repr(read_credentials(secret(token="hush"))) == "Credentials()"


async def test_credentials_go_to_the_server_and_never_along_with_a_redirect() -> None:
    seen: list[tuple[str, str | None]] = []

    async def handler(request: web.Request) -> web.Response:
        seen.append((request.path, request.headers.get("Authorization")))
        return web.Response(status=307, headers={"Location": "/elsewhere"})

    async with serving(handler) as url, make_local_session() as session:
        request = OutboundRequest(
            "GET", check_address(url), "*/*", credentials=Credentials("Bearer hush")
        )
        with pytest.raises(SourceError, match="redirects are not followed") as caught:
            await fetch(session, request, Limits())
    assert seen == [("/", "Bearer hush")]
    assert "hush" not in str(caught.value)


def make_certificate(directory: Path) -> tuple[Path, Path]:
    """Make a certificate for 127.0.0.1 that is its own authority, and its key."""
    certificate, key = directory / "tls.crt", directory / "tls.key"
    command = (
        f"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
        f" -subj /CN=test -addext subjectAltName=IP:127.0.0.1 -out {certificate} -keyout {key}"
    )
    subprocess.run(command.split(), check=True, capture_output=True)
    return certificate, key


async def test_only_the_authority_of_the_secret_is_trusted(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    async def handler(_: web.Request) -> web.Response:
        return web.Response(text="trusted")

    app = web.Application()
    app.router.add_get("/", handler)
    trusted = read_credentials(secret(ca_crt=certificate.read_text()))
    server = TestServer(app, scheme="https")
    await server.start_server(ssl=context)
    async with make_local_session() as session:
        url = check_address(str(server.make_url("/")))
        answer = await fetch(
            session, OutboundRequest("GET", url, "*/*", credentials=trusted), Limits()
        )
        with pytest.raises(SourceError, match="no trusted TLS connection"):
            await fetch(session, OutboundRequest("GET", url, "*/*"), Limits())
        await server.close()
    assert answer.body == b"trusted"
