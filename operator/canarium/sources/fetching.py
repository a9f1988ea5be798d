"""One request to a source, with a deadline and a size limit; every failure is a SourceError.

Redirects are not followed, compressed answers not taken, and what a server says is never trusted
to be short or printable.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp
from yarl import URL

from canarium.failures import explain_failure
from canarium.sources.auth import NOBODY, Credentials
from canarium.sources.errors import SourceError

_CHUNK = 64 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may take."""

    timeout_seconds: float = 5.0
    max_bytes: int = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked. `form` is sent as a form.

    `host` is the name to ask for where the URL has an address in its place.
    """

    method: str
    url: URL
    accept: str
    form: Mapping[str, str] | None = None
    credentials: Credentials = NOBODY
    host: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer, of any status but a redirect."""

    status: int
    body: bytes


async def fetch(session: aiohttp.ClientSession, request: Request, limits: Limits) -> Answer:
    """Ask once. Raises SourceError for whatever goes wrong before the answer is complete."""
    try:
        async with asyncio.timeout(limits.timeout_seconds):
            return await _ask(session, request, limits.max_bytes)
    except TimeoutError:
        raise SourceError(f"no answer within {limits.timeout_seconds:g} s") from None
    except (aiohttp.ClientError, OSError) as error:  # whose text may be a secret of others
        raise SourceError(explain_failure(error)) from None


async def read_body(response: aiohttp.ClientResponse, max_bytes: int) -> bytes:
    """Read an answer. Raises SourceError for one that is compressed or longer than this."""
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise SourceError("a compressed answer, which wasn't asked for")
    text = bytearray()
    async for chunk in response.content.iter_chunked(_CHUNK):
        text += chunk
        if len(text) > max_bytes:
            # Closing drops the connection; leaving it in the pool would mean reading the rest.
            response.close()
            raise SourceError(f"more than {max_bytes} bytes")
    return bytes(text)


async def _ask(session: aiohttp.ClientSession, request: Request, max_bytes: int) -> Answer:
    async with session.request(
        request.method,
        request.url,
        data=None if request.form is None else dict(request.form),
        headers=_make_headers(request),
        server_hostname=request.host if request.url.scheme == "https" else None,
        ssl=request.credentials.tls or True,
        allow_redirects=False,
        auto_decompress=False,
        timeout=aiohttp.ClientTimeout(total=None),
    ) as response:
        if 300 <= response.status < 400:
            raise SourceError(f"HTTP status {response.status}: redirects are not followed")
        return Answer(response.status, await read_body(response, max_bytes))


def _make_headers(request: Request) -> dict[str, str]:
    headers = {"Accept": request.accept, "Accept-Encoding": "identity"}
    if request.host is not None:
        port = "" if request.url.is_default_port() else f":{request.url.port}"
        headers["Host"] = request.host + port
    return headers | request.credentials.headers
