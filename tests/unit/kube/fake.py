"""An apiserver in memory, for the order of things alone: what a real one makes of an apply is not
imitated (the tests against a real apiserver are for that).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from canarium.errors import CanariumError, ConflictError, NotFoundError
from canarium.kube.client import Client
from canarium.kube.transport import JSON_PATCH, MERGE_PATCH, ApiRequest

from tests.unit.kube.wire import Json, dump

Place = tuple[str, str]


@dataclass(eq=False)
class FakeClient(Client):
    """Objects by kind and name, and a line for each request: `apply Service fraud`.

    It is its own transport: what is asked of it goes the way of every request.
    """

    objects: dict[Place, Json] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    refusals: dict[str, list[CanariumError]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__init__(self)
        self._versions = count(100)

    def add(self, *objects: Json) -> None:
        """Have objects there from the start."""
        for item in objects:
            self.objects[item["kind"], item["metadata"]["name"]] = item

    def refuse(self, request: str, *errors: CanariumError) -> None:
        """Answer the next such requests with these errors."""
        self.refusals[request] = list(errors)

    async def send(self, request: ApiRequest) -> bytes:
        """What is asked and answered, as a `Transport`."""
        body = json.loads(request.body or b"{}")
        found = request.query.get("fieldSelector", "").removeprefix("metadata.name=")
        name = request.name or (found if request.verb == "list" else body["metadata"]["name"])
        self._note(request, name)
        return self._answer(request, name, body)

    async def stream(self, request: ApiRequest) -> AsyncGenerator[bytes, None]:
        """Nothing that is watched ever changes."""
        await asyncio.Event().wait()
        yield b""

    def _answer(self, request: ApiRequest, name: str, body: Any) -> bytes:
        place = (request.resource.kind, name)
        match request.verb:
            case "get":
                return dump(self._find(*place))
            case "list":
                items = [self.objects[place]] if place in self.objects else []
                return dump({"metadata": {"resourceVersion": "100"}, "items": items})
            case "delete":
                self._find(*place)
                self._check(place, body["preconditions"].get("resourceVersion"))
                del self.objects[place]
                return dump({"kind": "Status"})
            case "create" if place in self.objects:
                raise ConflictError(409, "AlreadyExists", f"{name} already exists")
        if request.content_type == JSON_PATCH:
            version, status = (step["value"] for step in body)
            body = {"metadata": {"resourceVersion": version}, "status": status}
        if request.verb == "update" or request.content_type == JSON_PATCH:
            self._find(*place)
        self._check(place, body.get("metadata", {}).get("resourceVersion"))
        return self._store(place, body)

    def _note(self, request: ApiRequest, name: str) -> None:
        patches = {JSON_PATCH: "status", MERGE_PATCH: "merge"}
        verb = patches.get(request.content_type, request.verb)
        if request.query.get("force") == "true":
            verb = "force"
        line = f"{verb} {request.resource.kind} {name}"
        self.requests.append(line)
        if self.refusals.get(line):
            raise self.refusals[line].pop(0)

    def _find(self, kind: str, name: str) -> Json:
        try:
            return self.objects[kind, name]
        except KeyError as error:
            raise NotFoundError(404, "NotFound", f"{name} not found") from error

    def _check(self, place: Place, version: str | None) -> None:
        found = self.objects.get(place)
        if version and found and found["metadata"]["resourceVersion"] != version:
            raise ConflictError(409, "Conflict", "the object has been modified")

    def _store(self, place: Place, body: Json) -> bytes:
        kind, name = place
        before = self.objects.get(place, {"kind": kind, "metadata": {}})
        metadata = {"name": name, "namespace": "risk", "uid": f"uid-of-{name}"}
        metadata |= before["metadata"] | body.get("metadata", {})
        metadata["resourceVersion"] = str(next(self._versions))
        after = before | body | {"metadata": metadata}
        self.objects[place] = after
        return dump(after)
