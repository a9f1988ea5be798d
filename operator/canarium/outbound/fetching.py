"""One request to a source, with a deadline and a size limit; every failure is a SourceError.

Redirects are not followed, compressed answers not taken, and what a server says is never trusted
to be short or printable.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import TypeVar

import aiohttp
from yarl import URL

from canarium.failures import explain_failure
from canarium.outbound.auth import NOBODY, Credentials
from canarium.outbound.errors import SourceError
from canarium.outbound.forbidden_addresses import BUFFER_BYTES
from canarium.outbound.lookups import looking_up_for
from canarium.outbound.sharing import Held, Shares

_CHUNK = 64 * 1024
WHENEVER = aiohttp.ClientTimeout(total=None)
"Whoever asks has a deadline of his own."
SOON = aiohttp.ClientTimeout(total=None, sock_connect=1.0)
"How long an address is tried that isn't the last one: a pod that is gone answers nothing."

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may take."""

    timeout_seconds: float = 5.0
    max_bytes: int = 1024 * 1024


@dataclass(frozen=True, slots=True)
class OutboundRequest:
    """What is asked. `form` is sent as a form.

    `host` is the name to ask for where the URL has an address in its place; `owner` is the
    namespace for which it is asked. `dial` are the addresses to connect to, the first that takes
    the connection; those of the URL's host when there are none.
    """

    method: str
    url: URL
    accept: str
    form: Mapping[str, str] | None = None
    credentials: Credentials = NOBODY
    host: str | None = None
    owner: str = ""
    dial: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer, of any status but a redirect."""

    status: int
    body: bytes | bytearray


@asynccontextmanager
async def fetching(
    session: aiohttp.ClientSession, request: OutboundRequest, limits: Limits, shares: Shares
) -> AsyncIterator[Answer]:
    """Ask once, as soon as a namespace hasn't too many requests under way.

    A long answer's bytes are counted until the block ends. Raises SourceError for whatever goes
    wrong before the answer is complete.
    """
    held = Held(shares.answers, request.owner)
    async with shares.requests.hold(request.owner, 1):
        try:
            yield await fetch(session, request, limits, held)
        finally:
            held.close()


async def fetch(
    session: aiohttp.ClientSession,
    request: OutboundRequest,
    limits: Limits,
    held: Held | None = None,
) -> Answer:
    """Ask once. Raises SourceError for whatever goes wrong before the answer is complete."""
    found = await _try(session, request, limits, held)
    if isinstance(found, SourceError):
        raise found
    return found


async def _try(
    session: aiohttp.ClientSession, request: OutboundRequest, limits: Limits, held: Held | None
) -> Answer | SourceError:
    """The answer, or why there is none: without frames, which would hold what was read so far."""
    try:
        async with asyncio.timeout(limits.timeout_seconds) as deadline:
            async with asking(session, request) as response:
                body = bytearray()
                async for chunk in read_chunks(response, limits.max_bytes):
                    body += chunk
                    if held is not None and len(body) > _CHUNK and not held.amount:
                        # All that it may be, at once: who held parts would wait for each other.
                        await not_counted(deadline, held.take(limits.max_bytes))
                return Answer(response.status, body)
    except TimeoutError:
        return SourceError(f"no answer within {limits.timeout_seconds:g} s")
    except (aiohttp.ClientError, OSError) as error:  # whose text may be a secret of others
        return SourceError(explain_failure(error))
    except SourceError as error:
        return SourceError(str(error))


async def read_chunks(response: aiohttp.ClientResponse, max_bytes: int) -> AsyncIterator[bytes]:
    """Read an answer, a piece at a time.

    Raises SourceError for one that is compressed, and once it is longer than this.
    """
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise SourceError("a compressed answer, which wasn't asked for")
    length = 0
    async for chunk in response.content.iter_chunked(_CHUNK):
        length += len(chunk)
        if length > max_bytes:
            # Closing drops the connection; leaving it in the pool would mean reading the rest.
            response.close()
            raise SourceError(f"longer than {describe_size(max_bytes)}, which is all that is read")
        yield chunk


def describe_size(size: int) -> str:
    """A number of bytes, for people."""
    for unit, name in ((1024 * 1024, "MiB"), (1024, "KiB")):
        if size % unit == 0:
            return f"{size // unit} {name}"
    return f"{size} bytes"


async def not_counted(deadline: asyncio.Timeout, doing: Awaitable[T]) -> T:
    """Do something of the operator's own within a server's deadline, which stands still for it."""
    loop, when = asyncio.get_running_loop(), deadline.when()
    if when is None:
        return await doing
    left = when - loop.time()
    deadline.reschedule(None)
    done = await doing
    deadline.reschedule(loop.time() + left)
    return done


@asynccontextmanager
async def asking(
    session: aiohttp.ClientSession, request: OutboundRequest
) -> AsyncIterator[aiohttp.ClientResponse]:
    """Send a request, and give its answer as far as the headers."""
    async with AsyncExitStack() as stack:
        with looking_up_for(request.owner):
            response = await _connect(stack, session, request)
        if 300 <= response.status < 400:
            raise SourceError(f"HTTP status {response.status}: redirects are not followed")
        yield response


async def _connect(
    stack: AsyncExitStack, session: aiohttp.ClientSession, request: OutboundRequest
) -> aiohttp.ClientResponse:
    """Ask at the first address that takes the connection; the last one's failure is told."""
    for place in request.dial[:-1]:
        try:
            return await stack.enter_async_context(_send(session, aim(request, place), SOON))
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
            continue
    last = aim(request, request.dial[-1]) if request.dial else request
    return await stack.enter_async_context(_send(session, last))


def aim(request: OutboundRequest, address: str) -> OutboundRequest:
    """The same request, sent to this address in the place of its host's name."""
    url = request.url.with_host(address)
    return replace(request, url=url, host=request.host or request.url.raw_host)


def _send(
    session: aiohttp.ClientSession,
    request: OutboundRequest,
    timeout: aiohttp.ClientTimeout = WHENEVER,
) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
    return session.request(
        request.method,
        request.url,
        data=None if request.form is None else dict(request.form),
        headers=_make_headers(request),
        server_hostname=request.host if request.url.scheme == "https" else None,
        ssl=request.credentials.tls or True,
        allow_redirects=False,
        auto_decompress=False,
        read_bufsize=BUFFER_BYTES,
        timeout=timeout,
    )


def _make_headers(request: OutboundRequest) -> dict[str, str]:
    headers = {"Accept": request.accept, "Accept-Encoding": "identity"}
    if request.host is not None:
        port = "" if request.url.is_default_port() else f":{request.url.port}"
        name = f"[{request.host}]" if ":" in request.host else request.host
        headers["Host"] = name + port
    return headers | request.credentials.headers
