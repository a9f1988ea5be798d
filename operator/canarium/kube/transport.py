"""How requests travel to an apiserver: `send` asks once, `stream` reads the lines of a watch.

`client` makes the requests and knows what answers mean. The simulator and the tests' fakes are
transports too, so whatever uses a `Client` sends them what a real apiserver is sent. Nothing here
is retried, since every caller has a backoff of its own.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, ClassVar, Protocol, Self
from urllib.parse import urlencode

import aiohttp
import msgspec
from yarl import URL

from canarium.errors import (
    ApiError,
    ConflictError,
    GoneError,
    NotFoundError,
    UnavailableError,
)
from canarium.failures import explain_failure
from canarium.kube.clock import ClusterClock
from canarium.kube.config import Cluster
from canarium.kube.connections import HEADERS, open_session
from canarium.kube.kinds import Resource

JSON = "application/json"
APPLY_PATCH = "application/apply-patch+yaml"
JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
TOKEN_AGE_SECONDS = 60.0
CONNECT_SECONDS = 5.0
SILENCE_SECONDS = 90.0
"A watch without a word is taken for dead after this; the apiserver's bookmarks come each minute."
LONGEST_RETRY_AFTER_SECONDS = 60.0
TRANSIENT = frozenset({429, 502, 503, 504})
ERRORS: Mapping[int, type[ApiError]] = {404: NotFoundError, 409: ConflictError, 410: GoneError}

Observer = Callable[[str, str, int, float], None]
"""Told of each finished request: the verb, the kind's plural, the HTTP code (0: no answer) and the
seconds it took; a watch is told of when it begins."""


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """One request: what is to be done (`verb`, as metrics count it), to which objects, and how.

    `path` follows from the kind and the names unless it is given. Raises `ApiError` (400) when made
    with a name that cannot be part of one.
    """

    method: str
    verb: str
    resource: Resource
    namespace: str | None = None
    name: str | None = None
    subresource: str | None = None
    query: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    content_type: str = JSON
    "What the body is; of no meaning without one."
    path: str = ""

    def __post_init__(self) -> None:
        """Have the path made, or the names refused, before anything is sent."""
        named = self.namespace, self.name, self.subresource
        object.__setattr__(self, "path", self.path or self.resource.path(*named))


class Transport(Protocol):
    """A way to an apiserver, real or not.

    Both methods raise `ApiError` (with its subclasses) when the apiserver refuses, and
    `UnavailableError` when it cannot be reached, is overloaded or doesn't answer in time.
    """

    async def send(self, request: ApiRequest) -> bytes:
        """Ask once; the answer."""

    def stream(self, request: ApiRequest) -> AsyncGenerator[bytes, None]:
        """The lines of a watch, until the apiserver ends it; close it to end it before."""


class Failure(msgspec.Struct):
    """The Status object that the apiserver answers with when it refuses."""

    reason: str | None = None
    message: str | None = None


_failures = msgspec.json.Decoder(Failure)


def make_error(
    status: int, payload: bytes, retry_after: str | None = None
) -> ApiError | UnavailableError:
    """Turn an answer of 300 and above into an error; what is worth waiting out has its own.

    `retry_after` is the header of that name; as a date, which the apiserver never sends, it is
    passed over.
    """
    reason, message = _explain(payload)
    if status in TRANSIENT:
        seconds = float(retry_after) if retry_after and retry_after.isdecimal() else 0.0
        asked = min(seconds, LONGEST_RETRY_AFTER_SECONDS)
        return UnavailableError(f"{status} {reason}: {message}", asked)
    return ERRORS.get(status, ApiError)(status, reason, message)


def _explain(payload: bytes) -> tuple[str, str]:
    try:
        failure = _failures.decode(payload)
    except msgspec.DecodeError:
        return "", payload[:500].decode("utf-8", "replace")
    return failure.reason or "", failure.message or ""


class HttpTransport:
    """One apiserver's connections; use it as an asynchronous context manager.

    How long it waits, what it says of itself and what it makes of failures is the operator's way;
    a subclass may have another.
    """

    headers: ClassVar[Mapping[str, str]] = HEADERS
    trust_env = False
    "Whether variables of the environment may name proxies."
    timeout = aiohttp.ClientTimeout(total=30.0, sock_connect=CONNECT_SECONDS)
    watch_timeout = aiohttp.ClientTimeout(
        total=None, sock_connect=CONNECT_SECONDS, sock_read=SILENCE_SECONDS
    )

    def __init__(
        self,
        cluster: Cluster,
        *,
        observer: Observer | None = None,
        clock: ClusterClock | None = None,
    ) -> None:
        self.cluster = cluster
        self._observer = observer
        self._clock = clock
        self._session: aiohttp.ClientSession | None = None
        self._authorization = ""
        self._authorized_at = float("-inf")

    async def __aenter__(self) -> Self:
        """Open the session; connections are made as they are needed."""
        self._session = open_session(self.cluster, self.headers, trust_env=self.trust_env)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close every connection."""
        await self.close()

    async def close(self) -> None:
        """End the session, once each peer has said good-bye or had the time to."""
        await self.session.close()

    @property
    def session(self) -> aiohttp.ClientSession:
        """What is open while it is used as a context manager."""
        if self._session is None:
            raise RuntimeError("the client is used outside of its `async with`")
        return self._session

    async def send(self, request: ApiRequest) -> bytes:
        """Ask once; the answer."""
        options, begun = self._options(request), time.monotonic()
        try:
            async with self.session.request(
                **options, data=request.body, timeout=self.timeout
            ) as response:
                payload = await response.read()
                if self._clock is not None:
                    self._clock.hear(response.headers.get("Date", ""), begun)
        except (aiohttp.ClientError, OSError) as error:
            self._observe(request, 0, begun)
            raise self.fail(request, error) from error
        self._observe(request, response.status, begun)
        if response.status >= 300:
            raise self.refuse(request, response, payload)
        return payload

    async def stream(self, request: ApiRequest) -> AsyncGenerator[bytes, None]:
        """The lines of a watch, one JSON event each, until the apiserver ends it."""
        begun = time.monotonic()
        try:
            async with self.session.request(
                **self._options(request), timeout=self.watch_timeout
            ) as response:
                self._observe(request, response.status, begun)
                if response.status >= 300:
                    raise self.refuse(request, response, await response.read())
                async for line in _split_lines(response.content):
                    yield line
        except (aiohttp.ClientError, OSError) as error:
            raise self.fail(request, error) from error

    def refuse(
        self, request: ApiRequest, response: aiohttp.ClientResponse, payload: bytes
    ) -> Exception:
        """What an answer of 300 and above means."""
        return make_error(response.status, payload, response.headers.get("Retry-After"))

    def fail(self, request: ApiRequest, error: Exception) -> Exception:
        """Why no answer came, or why a stream broke off."""
        return UnavailableError(
            f"{request.verb} of {request.resource.plural}: {explain_failure(error)}"
        )

    def _options(self, request: ApiRequest) -> dict[str, Any]:
        """What aiohttp is told of a request."""
        headers = {"Content-Type": request.content_type} if request.body is not None else {}
        if token := self._token():
            headers["Authorization"] = token
        options: dict[str, Any] = {
            "method": request.method,
            "url": self._url(request),
            "headers": headers,
            "allow_redirects": False,
        }
        if self.cluster.server_name:
            options["server_hostname"] = self.cluster.server_name
        return options

    def _url(self, request: ApiRequest) -> URL:
        """Already escaped, so that no library normalises `..` or decodes `%2F` on the way."""
        tail = f"?{urlencode(request.query)}" if request.query else ""
        return URL(f"{self.cluster.server}{request.path}{tail}", encoded=True)

    def _token(self) -> str:
        now = time.monotonic()
        if now - self._authorized_at >= TOKEN_AGE_SECONDS:
            token = self.cluster.read_token()
            self._authorization = f"{self.cluster.scheme} {token}" if token else ""
            self._authorized_at = now
        return self._authorization

    def _observe(self, request: ApiRequest, code: int, begun: float) -> None:
        if code == 401:  # the token was renewed, or it is gone: read it again
            self._authorized_at = float("-inf")
        if self._observer is not None:
            self._observer(request.verb, request.resource.plural, code, time.monotonic() - begun)


async def _split_lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Lines of any length: aiohttp's own `readline` refuses those above 128 KiB."""
    pending = b""
    async for chunk in content.iter_any():
        *lines, pending = (pending + chunk).split(b"\n")
        for line in lines:
            if line:
                yield line
