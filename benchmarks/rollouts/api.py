"""A small client for the benchmark's own requests, so cheap that it does not become the load.

It is independent of the operator's client but for how connections end, and says in its user agent
who it is.
"""

import base64
import ssl
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import yaml
from canarium.kube.connections import Connector

AGENT = "canary-bench"
"Not beginning with `canarium`: the audit log must not count us as the operator."
MERGE_PATCH = "application/merge-patch+json"


class RefusedError(Exception):
    """The apiserver refused a request of the benchmark's."""


@dataclass(frozen=True, slots=True)
class Access:
    """How to reach an apiserver: its address, its certificate authority and a bearer token."""

    server: str
    tls: ssl.SSLContext
    token: str


def read_access(kubeconfig: Path) -> Access:
    """The current context of a kubeconfig that authenticates by token or client certificate."""
    config = yaml.safe_load(kubeconfig.read_text())
    context = _named(config["contexts"], config["current-context"])["context"]
    cluster = _named(config["clusters"], context["cluster"])["cluster"]
    user = _named(config["users"], context["user"])["user"]
    return Access(cluster["server"], _make_tls(cluster, user), user.get("token", ""))


def _named(items: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return next(item for item in items if item["name"] == name)


def _make_tls(cluster: dict[str, Any], user: dict[str, Any]) -> ssl.SSLContext:
    context = ssl.create_default_context(
        cafile=cluster.get("certificate-authority"),
        cadata=_decode(cluster, "certificate-authority"),
    )
    if cluster.get("insecure-skip-tls-verify"):
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if "client-certificate" in user:
        context.load_cert_chain(user["client-certificate"], user["client-key"])
    elif certificate := _decode(user, "client-certificate"):
        with tempfile.NamedTemporaryFile("w") as file:
            file.write(certificate + "\n" + (_decode(user, "client-key") or ""))
            file.flush()
            context.load_cert_chain(file.name)
    return context


def _decode(fields: dict[str, Any], name: str) -> str | None:
    data = fields.get(f"{name}-data")
    return base64.b64decode(data).decode() if data else None


class Api:
    """JSON requests to one apiserver; whatever is refused raises RefusedError."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def get(self, path: str) -> bytes:
        """An object or a list, as JSON."""
        return await self._send("GET", path)

    async def post(self, path: str, body: Any) -> bytes:
        """Create something."""
        return await self._send("POST", path, body)

    async def merge(self, path: str, patch: Any) -> bytes:
        """Change something by a merge patch."""
        return await self._send("PATCH", path, patch, MERGE_PATCH)

    async def delete(self, path: str) -> bytes:
        """Delete something, and its dependents in the background."""
        return await self._send("DELETE", path)

    async def watch(self, path: str, **query: str) -> AsyncIterator[bytes]:
        """The lines of a watch, until the server ends it."""
        async with self._session.get(path, params={"watch": "1", **query}) as answer:
            await _check(answer)
            async for line in answer.content:
                yield line

    async def _send(
        self, verb: str, path: str, body: Any = None, content: str = "application/json"
    ) -> bytes:
        data = None if body is None else msgspec.json.encode(body)
        headers = {"Content-Type": content}
        async with self._session.request(verb, path, data=data, headers=headers) as answer:
            await _check(answer)
            return await answer.read()


async def _check(answer: aiohttp.ClientResponse) -> None:
    if answer.status >= 400:
        words = (await answer.text())[:500]
        raise RefusedError(f"{answer.method} {answer.url.path}: {answer.status} {words}")


@asynccontextmanager
async def connect(access: Access) -> AsyncIterator[Api]:
    """A client for as long as the block lasts; watches have no deadline."""
    headers = {"User-Agent": AGENT}
    if access.token:
        headers["Authorization"] = f"Bearer {access.token}"
    session = aiohttp.ClientSession(
        base_url=access.server,
        headers=headers,
        connector=Connector(access.tls, limit=64),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=10),
        read_bufsize=2**20,
    )
    async with session:
        yield Api(session)
