"""An apiserver in memory, for the order of things alone: what a real one makes of an apply is not
imitated (the tests against a real apiserver are for that).
"""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import msgspec
from canarium.errors import CanariumError, ConflictError, NotFoundError
from canarium.kube.client import Client, ListMeta, Page
from canarium.kube.config import Cluster
from canarium.kube.kinds import Resource

from tests.unit.kube.wire import Json, dump

Place = tuple[str, str]


@dataclass(eq=False)
class FakeClient(Client):
    """Objects by kind and name, and a line for each request: `apply Service fraud`."""

    objects: dict[Place, Json] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    refusals: dict[str, list[CanariumError]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__init__(Cluster(server="http://fake"))
        self._versions = count(100)

    def add(self, *objects: Json) -> None:
        """Have objects there from the start."""
        for item in objects:
            self.objects[item["kind"], item["metadata"]["name"]] = item

    def refuse(self, request: str, *errors: CanariumError) -> None:
        """Answer the next such requests with these errors."""
        self.refusals[request] = list(errors)

    async def get(self, resource: Resource, namespace: str | None, name: str) -> bytes:
        self._note("get", resource, name)
        return dump(self._find(resource, name))

    async def list_pages(
        self,
        resource: Resource,
        namespace: str | None = None,
        selector: str = "",
        *,
        fields: str = "",
    ) -> AsyncIterator[Page]:
        name = fields.removeprefix("metadata.name=")
        self._note("list", resource, name)
        found = self.objects.get((resource.kind, name))
        yield Page(ListMeta("100"), [msgspec.Raw(dump(found))] if found else [])

    async def create(
        self, resource: Resource, namespace: str | None, body: Mapping[str, Any], manager: str
    ) -> bytes:
        name = body["metadata"]["name"]
        self._note("create", resource, name)
        if (resource.kind, name) in self.objects:
            raise ConflictError(409, "AlreadyExists", f"{name} already exists")
        return self._store(resource, name, body)

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
        self._note("force" if force else "apply", resource, name)
        self._check(resource, name, body.get("metadata", {}).get("resourceVersion"))
        return self._store(resource, name, body)

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
        self._note("merge", resource, name)
        self._check(resource, name, body.get("metadata", {}).get("resourceVersion"))
        return self._store(resource, name, body)

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
        self._note("status", resource, name)
        self._find(resource, name)
        self._check(resource, name, resource_version)
        return self._store(resource, name, {"status": status})

    async def replace(
        self, resource: Resource, namespace: str | None, name: str, body: Mapping[str, Any]
    ) -> bytes:
        self._note("update", resource, name)
        self._find(resource, name)
        self._check(resource, name, body["metadata"].get("resourceVersion"))
        return self._store(resource, name, body)

    async def delete(
        self, resource: Resource, namespace: str | None, name: str, uid: str, resource_version: str
    ) -> bytes:
        self._note("delete", resource, name)
        self._find(resource, name)
        self._check(resource, name, resource_version)
        del self.objects[resource.kind, name]
        return dump({"kind": "Status"})

    def _note(self, verb: str, resource: Resource, name: str) -> None:
        request = f"{verb} {resource.kind} {name}"
        self.requests.append(request)
        if self.refusals.get(request):
            raise self.refusals[request].pop(0)

    def _find(self, resource: Resource, name: str) -> Json:
        try:
            return self.objects[resource.kind, name]
        except KeyError as error:
            raise NotFoundError(404, "NotFound", f"{name} not found") from error

    def _check(self, resource: Resource, name: str, version: str | None) -> None:
        found = self.objects.get((resource.kind, name))
        if version and found and found["metadata"]["resourceVersion"] != version:
            raise ConflictError(409, "Conflict", "the object has been modified")

    def _store(self, resource: Resource, name: str, body: Mapping[str, Any]) -> bytes:
        before = self.objects.get((resource.kind, name), {"kind": resource.kind, "metadata": {}})
        metadata = {"name": name, "namespace": "risk", "uid": f"uid-of-{name}"}
        metadata |= before["metadata"] | copy.deepcopy(dict(body.get("metadata", {})))
        metadata["resourceVersion"] = str(next(self._versions))
        after = before | copy.deepcopy(dict(body)) | {"metadata": metadata}
        self.objects[resource.kind, name] = after
        return dump(after)
