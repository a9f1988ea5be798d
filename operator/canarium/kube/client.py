"""A small asynchronous client of the apiserver: bytes in, bytes out, errors of our own tree.

What answers hold is the business of `projections`; nothing here is retried, since every caller has
a backoff of its own.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from types import TracebackType
from typing import Any, Protocol, Self
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
from canarium.kube.connections import open_session
from canarium.kube.kinds import API, LEASES, QUESTIONS, VERSION, Resource

JSON = "application/json"
APPLY_PATCH = "application/apply-patch+yaml"
JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
PAGE_SIZE = 500
TOKEN_AGE_SECONDS = 60.0
SILENCE_SECONDS = 90.0
"A watch without a word is taken for dead after this; the apiserver's bookmarks come each minute."

Observer = Callable[[str, str, int, float], None]
"""Told of each finished request: the verb, the kind's plural, the HTTP code (0: no answer) and the
seconds it took; a watch is told of when it begins."""


class ListMeta(msgspec.Struct, rename="camel"):
    """A list's own metadata; `next_page` is the token of the page that follows."""

    resource_version: str = ""
    next_page: str = msgspec.field(default="", name="continue")


class Page(msgspec.Struct):
    """One page of a list; items stay JSON until somebody projects them."""

    metadata: ListMeta
    items: list[msgspec.Raw] | None = None


class ClusterVersion(msgspec.Struct):
    """What the apiserver says of itself at /version."""

    major: str
    minor: str


class ServerAddress(msgspec.Struct):
    """Where an apiserver is, for clients of some network."""

    server_address: str = msgspec.field(name="serverAddress", default="")


class ApiVersions(msgspec.Struct):
    """What the apiserver says of itself at /api."""

    places: list[ServerAddress] | None = msgspec.field(
        name="serverAddressByClientCIDRs", default=None
    )


class Failure(msgspec.Struct):
    """The Status object that the apiserver answers with when it refuses."""

    reason: str | None = None
    message: str | None = None


ERRORS: Mapping[int, type[ApiError]] = {404: NotFoundError, 409: ConflictError, 410: GoneError}
LONGEST_RETRY_AFTER_SECONDS = 60.0
TRANSIENT = frozenset({429, 502, 503, 504})
FREE = (LEASES, *QUESTIONS)
"What a standby creates, too."

_pages = msgspec.json.Decoder(Page)
_failures = msgspec.json.Decoder(Failure)
_encode = msgspec.json.Encoder().encode


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


def _select(resource: Resource, selector: str) -> dict[str, str]:
    """Which objects of a kind are wanted: by their labels, or the one of this name."""
    by_labels = {"labelSelector": selector} if selector else {}
    by_name = {"fieldSelector": f"metadata.name={resource.only}"} if resource.only else {}
    return by_labels | by_name


def _refusal(response: aiohttp.ClientResponse, payload: bytes) -> ApiError | UnavailableError:
    return make_error(response.status, payload, response.headers.get("Retry-After"))


def _explain(payload: bytes) -> tuple[str, str]:
    try:
        failure = _failures.decode(payload)
    except msgspec.DecodeError:
        return "", payload[:500].decode("utf-8", "replace")
    return failure.reason or "", failure.message or ""


class Api(Protocol):
    """What the parts of the operator ask of an apiserver, real or simulated.

    `Client` says more about each method, and what they raise.
    """

    async def get(self, resource: Resource, namespace: str | None, name: str) -> bytes:
        """Read one object."""

    async def create(
        self, resource: Resource, namespace: str | None, body: Mapping[str, Any], manager: str
    ) -> bytes:
        """Create an object that must not exist."""

    async def apply(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        body: Mapping[str, Any],
        manager: str,
        *,
        force: bool,
    ) -> bytes:
        """Server-side apply."""

    async def patch_status(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        status: Mapping[str, Any],
        *,
        resource_version: str,
        manager: str,
    ) -> bytes:
        """Write the whole status over the version that was read."""

    async def merge(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        body: Mapping[str, Any],
        *,
        manager: str,
        subresource: str | None = None,
    ) -> bytes:
        """JSON merge patch."""

    async def delete(
        self, resource: Resource, namespace: str | None, name: str, uid: str, resource_version: str
    ) -> bytes:
        """Delete exactly this object."""

    def list_pages(
        self,
        resource: Resource,
        namespace: str | None = None,
        selector: str = "",
        *,
        fields: str = "",
    ) -> AsyncIterator[Page]:
        """Every page of a list."""

    def watch(
        self,
        resource: Resource,
        namespace: str | None,
        selector: str,
        resource_version: str,
        timeout_seconds: int,
    ) -> AsyncGenerator[bytes, None]:
        """The lines of a watch, until it ends."""


class Client:
    """One apiserver's connections; use it as an asynchronous context manager.

    Every method raises `ApiError` (with its subclasses) when the apiserver refuses and
    `UnavailableError` when it cannot be reached, is overloaded or doesn't answer in time.
    """

    def __init__(
        self,
        cluster: Cluster,
        *,
        timeout_seconds: float = 30.0,
        silence_seconds: float = SILENCE_SECONDS,
        observer: Observer | None = None,
        clock: ClusterClock | None = None,
    ) -> None:
        self.cluster = cluster
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds, sock_connect=5.0)
        self._watch_timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=5.0, sock_read=silence_seconds
        )
        self._observer = observer
        self._clock = clock
        self._session: aiohttp.ClientSession | None = None
        self.may_write: Callable[[], bool] = lambda: True
        """Asked before each write but the Lease's own and questions: a process that was stopped for
        a while and wakes must not send what it had in mind before it knows who leads now."""
        self._authorization = ""
        self._authorized_at = float("-inf")

    async def __aenter__(self) -> Self:
        """Open the session; connections are made as they are needed."""
        self._session = open_session(self.cluster)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()

    async def get(self, resource: Resource, namespace: str | None, name: str) -> bytes:
        """Read one object."""
        return await self._send("GET", "get", resource, resource.path(namespace, name))

    async def fetch_version(self) -> tuple[int, int]:
        """The cluster's version, major and minor."""
        raw = await self._send("GET", "get", VERSION, "/version")
        said = msgspec.json.decode(raw, type=ClusterVersion)
        return int(said.major), int(said.minor.rstrip("+"))  # some distributions write 34+

    async def fetch_addresses(self) -> tuple[tuple[str, int], ...]:
        """Where the apiserver says that it is itself: addresses and ports."""
        said = msgspec.json.decode(await self._send("GET", "get", API, "/api"), type=ApiVersions)
        places = (each.server_address.rpartition(":") for each in said.places or ())
        return tuple((host.strip("[]"), int(port)) for host, _, port in places if port.isdecimal())

    async def create(
        self, resource: Resource, namespace: str | None, body: Mapping[str, Any], manager: str
    ) -> bytes:
        """Create an object that must not exist (`ConflictError`, AlreadyExists, when it does)."""
        query = {"fieldManager": manager}
        path = resource.path(namespace)
        return await self._send("POST", "create", resource, path, query=query, body=_encode(body))

    async def apply(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        body: Mapping[str, Any],
        manager: str,
        *,
        force: bool,
    ) -> bytes:
        """Server-side apply; a resourceVersion in the body is a precondition."""
        query = {"fieldManager": manager, "force": "true" if force else "false"}
        path = resource.path(namespace, name)
        return await self._send(
            "PATCH",
            "apply",
            resource,
            path,
            query=query,
            body=_encode(body),
            content_type=APPLY_PATCH,
        )

    async def replace(
        self, resource: Resource, namespace: str | None, name: str, body: Mapping[str, Any]
    ) -> bytes:
        """Write a whole object (PUT); its resourceVersion is a precondition."""
        path = resource.path(namespace, name)
        return await self._send("PUT", "update", resource, path, body=_encode(body))

    async def patch_status(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        status: Mapping[str, Any],
        *,
        resource_version: str,
        manager: str,
    ) -> bytes:
        """Write the whole status; `ConflictError` when the object changed since."""
        body = [
            {"op": "replace", "path": "/metadata/resourceVersion", "value": resource_version},
            {"op": "add", "path": "/status", "value": status},
        ]
        query = {"fieldManager": manager}
        path = resource.path(namespace, name, "status")
        return await self._send(
            "PATCH",
            "patch",
            resource,
            path,
            query=query,
            body=_encode(body),
            content_type=JSON_PATCH,
        )

    async def merge(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        body: Mapping[str, Any],
        *,
        manager: str,
        subresource: str | None = None,
    ) -> bytes:
        """JSON merge patch; a resourceVersion in the body is a precondition."""
        query = {"fieldManager": manager}
        path = resource.path(namespace, name, subresource)
        return await self._send(
            "PATCH",
            "patch",
            resource,
            path,
            query=query,
            body=_encode(body),
            content_type=MERGE_PATCH,
        )

    async def delete(
        self, resource: Resource, namespace: str | None, name: str, uid: str, resource_version: str
    ) -> bytes:
        """Delete exactly this object; `ConflictError` when it is another one or has changed."""
        preconditions = {"uid": uid}
        if resource_version:
            preconditions["resourceVersion"] = resource_version
        body = {"propagationPolicy": "Background", "preconditions": preconditions}
        path = resource.path(namespace, name)
        return await self._send("DELETE", "delete", resource, path, body=_encode(body))

    async def list_pages(
        self,
        resource: Resource,
        namespace: str | None = None,
        selector: str = "",
        *,
        fields: str = "",
    ) -> AsyncIterator[Page]:
        """Every page of a list; each carries the resourceVersion that a watch continues from."""
        query = {"limit": str(PAGE_SIZE)} | _select(resource, selector)
        query |= {"fieldSelector": fields} if fields else {}
        path = resource.path(namespace)
        while True:
            page = _pages.decode(await self._send("GET", "list", resource, path, query=query))
            yield page
            if not page.metadata.next_page:
                return
            query["continue"] = page.metadata.next_page

    async def watch(
        self,
        resource: Resource,
        namespace: str | None,
        selector: str,
        resource_version: str,
        timeout_seconds: int,
    ) -> AsyncGenerator[bytes, None]:
        """The lines of a watch, one JSON event each, until the apiserver ends it."""
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": resource_version,
            "timeoutSeconds": str(timeout_seconds),
        } | _select(resource, selector)
        url = self._url(resource.path(namespace), query)
        begun = time.monotonic()
        try:
            async with self._open.get(
                url, timeout=self._watch_timeout, **self._options()
            ) as response:
                self._observe("watch", resource, response.status, begun)
                if response.status >= 300:
                    raise _refusal(response, await response.read())
                async for line in _split_lines(response.content):
                    yield line
        except (aiohttp.ClientError, OSError) as error:
            raise UnavailableError(
                f"watch of {resource.plural}: {explain_failure(error)}"
            ) from error

    @property
    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("the client is used outside of its `async with`")
        return self._session

    async def _send(
        self,
        method: str,
        verb: str,
        resource: Resource,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        content_type: str = JSON,
    ) -> bytes:
        free = method == "GET" or resource in FREE
        if not free and not self.may_write():
            raise UnavailableError(f"{verb} of {resource.plural}: not sent without the lease")
        url = self._url(path, query or {})
        options = self._options() if body is None else self._options(content_type)
        begun = time.monotonic()
        try:
            async with self._open.request(
                method, url, data=body, timeout=self._timeout, **options
            ) as response:
                payload = await response.read()
                if self._clock is not None:
                    self._clock.hear(response.headers.get("Date", ""), begun)
        except (aiohttp.ClientError, OSError) as error:
            self._observe(verb, resource, 0, begun)
            raise UnavailableError(
                f"{verb} of {resource.plural}: {explain_failure(error)}"
            ) from error
        self._observe(verb, resource, response.status, begun)
        if response.status >= 300:
            raise _refusal(response, payload)
        return payload

    def _url(self, path: str, query: Mapping[str, str]) -> URL:
        """Already escaped, so that no library normalises `..` or decodes `%2F` on the way."""
        tail = f"?{urlencode(query)}" if query else ""
        return URL(f"{self.cluster.server}{path}{tail}", encoded=True)

    def _options(self, content_type: str = "") -> dict[str, Any]:
        headers = {"Content-Type": content_type} if content_type else {}
        if token := self._token():
            headers["Authorization"] = token
        options: dict[str, Any] = {"headers": headers, "allow_redirects": False}
        if self.cluster.server_name:
            options["server_hostname"] = self.cluster.server_name
        return options

    def _token(self) -> str:
        now = time.monotonic()
        if now - self._authorized_at >= TOKEN_AGE_SECONDS:
            token = self.cluster.read_token()
            self._authorization = f"Bearer {token}" if token else ""
            self._authorized_at = now
        return self._authorization

    def _note_refusal(self, code: int) -> None:
        """Read the token again after a 401: it was renewed, or it is gone."""
        if code == 401:
            self._authorized_at = float("-inf")

    def _observe(self, verb: str, resource: Resource, code: int, begun: float) -> None:
        self._note_refusal(code)
        if self._observer is not None:
            self._observer(verb, resource.plural, code, time.monotonic() - begun)


async def _split_lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Lines of any length: aiohttp's own `readline` refuses those above 128 KiB."""
    pending = b""
    async for chunk in content.iter_any():
        *lines, pending = (pending + chunk).split(b"\n")
        for line in lines:
            if line:
                yield line
