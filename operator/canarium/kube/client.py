"""A small asynchronous client of the apiserver: bytes in, bytes out, errors of our own tree.

It makes the requests, and a transport carries them (`transport`): over HTTP, or to an apiserver
in memory. What answers hold is the business of `projections`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from typing import Any

import msgspec

from canarium.errors import UnavailableError
from canarium.kube.kinds import API, LEASES, QUESTIONS, VERSION, Resource
from canarium.kube.transport import (
    APPLY_PATCH,
    JSON_PATCH,
    MERGE_PATCH,
    ApiRequest,
    Transport,
)

PAGE_SIZE = 500
FREE = (LEASES, *QUESTIONS)
"What a standby creates, too."
NO_OPTIONS: Mapping[str, str] = {}


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


_pages = msgspec.json.Decoder(Page)
encode = msgspec.json.Encoder().encode


def _select(resource: Resource, selector: str, fields: str = "") -> dict[str, str]:
    """Which objects of a kind are wanted: by their labels, by fields, or the one of this name."""
    by_labels = {"labelSelector": selector} if selector else {}
    fields = fields or (f"metadata.name={resource.only}" if resource.only else "")
    return by_labels | ({"fieldSelector": fields} if fields else {})


class Client:
    """What the parts of the operator ask of an apiserver, real or simulated.

    Every method raises `ApiError` (with its subclasses) when the apiserver refuses and
    `UnavailableError` when it cannot be reached, is overloaded or doesn't answer in time.
    """

    def __init__(self, transport: Transport, encode: Callable[[Any], bytes] = encode) -> None:
        self._transport = transport
        self._encode = encode
        self.may_write: Callable[[], bool] = lambda: True
        """Asked before each write but the Lease's own and questions: a process that was stopped for
        a while and wakes must not send what it had in mind before it knows who leads now."""

    async def get(self, resource: Resource, namespace: str | None, name: str) -> bytes:
        """Read one object."""
        return await self._transport.send(ApiRequest("GET", "get", resource, namespace, name))

    async def fetch_version(self) -> tuple[int, int]:
        """The cluster's version, major and minor."""
        raw = await self._transport.send(ApiRequest("GET", "get", VERSION, path="/version"))
        said = msgspec.json.decode(raw, type=ClusterVersion)
        return int(said.major), int(said.minor.rstrip("+"))  # some distributions write 34+

    async def fetch_addresses(self) -> tuple[tuple[str, int], ...]:
        """Where the apiserver says that it is itself: addresses and ports."""
        raw = await self._transport.send(ApiRequest("GET", "get", API, path="/api"))
        said = msgspec.json.decode(raw, type=ApiVersions)
        places = (each.server_address.rpartition(":") for each in said.places or ())
        return tuple((host.strip("[]"), int(port)) for host, _, port in places if port.isdecimal())

    async def create(
        self, resource: Resource, namespace: str | None, body: Mapping[str, Any], manager: str
    ) -> bytes:
        """Create an object that must not exist (`ConflictError`, AlreadyExists, when it does)."""
        query = {"fieldManager": manager}
        return await self._write(
            ApiRequest("POST", "create", resource, namespace, query=query, body=self._encode(body))
        )

    async def apply(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        body: Mapping[str, Any],
        manager: str,
        *,
        force: bool,
        options: Mapping[str, str] = NO_OPTIONS,
    ) -> bytes:
        """Server-side apply; a resourceVersion in the body is a precondition.

        `options` are more of what Kubernetes calls patch options, such as `dryRun`.
        """
        query = {"fieldManager": manager, "force": "true" if force else "false", **options}
        return await self._write(
            ApiRequest(
                "PATCH",
                "apply",
                resource,
                namespace,
                name,
                query=query,
                body=self._encode(body),
                content_type=APPLY_PATCH,
            )
        )

    async def replace(
        self, resource: Resource, namespace: str | None, name: str, body: Mapping[str, Any]
    ) -> bytes:
        """Write a whole object (PUT); its resourceVersion is a precondition."""
        return await self._write(
            ApiRequest("PUT", "update", resource, namespace, name, body=self._encode(body))
        )

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
        return await self._write(
            ApiRequest(
                "PATCH",
                "patch",
                resource,
                namespace,
                name,
                "status",
                query={"fieldManager": manager},
                body=self._encode(body),
                content_type=JSON_PATCH,
            )
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
        options: Mapping[str, str] = NO_OPTIONS,
    ) -> bytes:
        """JSON merge patch; a resourceVersion in the body is a precondition."""
        return await self._write(
            ApiRequest(
                "PATCH",
                "patch",
                resource,
                namespace,
                name,
                subresource,
                query={"fieldManager": manager, **options},
                body=self._encode(body),
                content_type=MERGE_PATCH,
            )
        )

    async def delete(
        self, resource: Resource, namespace: str | None, name: str, uid: str, resource_version: str
    ) -> bytes:
        """Delete exactly this object; `ConflictError` when it is another one or has changed."""
        preconditions = {"uid": uid}
        if resource_version:
            preconditions["resourceVersion"] = resource_version
        body = {"propagationPolicy": "Background", "preconditions": preconditions}
        return await self._write(
            ApiRequest("DELETE", "delete", resource, namespace, name, body=self._encode(body))
        )

    async def list_pages(
        self,
        resource: Resource,
        namespace: str | None = None,
        selector: str = "",
        *,
        fields: str = "",
    ) -> AsyncIterator[Page]:
        """Every page of a list; each carries the resourceVersion that a watch continues from."""
        query = {"limit": str(PAGE_SIZE)} | _select(resource, selector, fields)
        while True:
            request = ApiRequest("GET", "list", resource, namespace, query=dict(query))
            page = _pages.decode(await self._transport.send(request))
            yield page
            if not page.metadata.next_page:
                return
            query["continue"] = page.metadata.next_page

    async def list_at_once(
        self, resource: Resource, namespace: str | None, query: Mapping[str, str]
    ) -> bytes:
        """A whole list in one answer, as the apiserver has it; `query` may hold selectors."""
        return await self._transport.send(
            ApiRequest("GET", "list", resource, namespace, query=query)
        )

    def watch(
        self,
        resource: Resource,
        namespace: str | None,
        selector: str,
        resource_version: str,
        timeout_seconds: int,
        *,
        options: Mapping[str, str] = NO_OPTIONS,
    ) -> AsyncGenerator[bytes, None]:
        """The lines of a watch, one JSON event each, until the apiserver ends it."""
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": resource_version,
            "timeoutSeconds": str(timeout_seconds),
            **_select(resource, selector),
            **options,
        }
        return self._transport.stream(ApiRequest("GET", "watch", resource, namespace, query=query))

    async def _write(self, request: ApiRequest) -> bytes:
        if request.resource not in FREE and not self.may_write():
            words = f"{request.verb} of {request.resource.plural}: not sent without the lease"
            raise UnavailableError(words)
        return await self._transport.send(request)
