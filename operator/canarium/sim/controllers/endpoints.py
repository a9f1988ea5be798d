"""Services get their EndpointSlices, a moment after pods and selectors change."""

from __future__ import annotations

import asyncio

from canarium.core.names import MODEL_LABEL
from canarium.sim.apiserver import ApiServer, Change, Key, is_deleting, is_ready, labels_of
from canarium.sim.fields import Json

CONTROLLER = "kube-controller-manager"
SERVICE_NAME = "kubernetes.io/service-name"
Group = tuple[str, str]
"Namespace, and the model that a selector or a pod names: what can belong together."


class Endpoints:
    """The endpoint slice controller; Services without our label in their selector have none."""

    def __init__(self, server: ApiServer, loop: asyncio.AbstractEventLoop) -> None:
        self.react_seconds = 0.05
        self._server = server
        self._loop = loop
        self._services: dict[Group, dict[Key, None]] = {}
        self._pods: dict[Group, dict[Key, None]] = {}
        self._due: set[Key] = set()
        server.listen(self._look)

    def pods_of(self, group: Group) -> list[Json]:
        """The pods of one model that are not on their way out."""
        pods = (self._server.find("Pod", key) for key in self._pods.get(group, ()))
        return [pod for pod in pods if pod and not is_deleting(pod)]

    def pods_behind(self, service: Json) -> list[Json]:
        """The pods that a Service selects and that are not on their way out."""
        selector = service["spec"].get("selector") or {}
        group = service["metadata"]["namespace"], selector.get(MODEL_LABEL, "")
        pods = self.pods_of(group)
        return [pod for pod in pods if selector.items() <= labels_of(pod).items()]

    def _look(self, change: Change) -> None:
        if change.kind == "Service":
            self._look_at_service(change)
        elif change.kind == "Pod":
            group = change.key[0], labels_of(change.body).get(MODEL_LABEL, "")
            _keep(self._pods, group, change)
            for service in self._services.get(group, ()):
                self._plan(service)

    def _look_at_service(self, change: Change) -> None:
        for body in (change.was, change.body):
            selector = (body or {}).get("spec", {}).get("selector") or {}
            group = change.key[0], selector.get(MODEL_LABEL, "")
            if group in self._services or body is change.body:
                gone = body is not change.body or change.type == "DELETED"
                members = self._services.setdefault(group, {})
                if gone:
                    members.pop(change.key, None)
                else:
                    members[change.key] = None
        self._plan(change.key)

    def _plan(self, key: Key) -> None:
        if key not in self._due:
            self._due.add(key)
            self._loop.call_later(self.react_seconds, self._sync, key)

    def _sync(self, key: Key) -> None:
        self._due.discard(key)
        service = self._server.find("Service", key)
        place = key[0], f"{key[1]}-x"
        if service is None:
            if self._server.find("EndpointSlice", place) is not None:
                self._server.remove("EndpointSlice", place, CONTROLLER)
            return
        endpoints = [_make_endpoint(pod) for pod in self.pods_behind(service)]
        body = {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": place[1], "labels": {**labels_of(service), SERVICE_NAME: key[1]}},
            "endpoints": [endpoint for endpoint in endpoints if endpoint["addresses"]],
        }
        if self._server.find("EndpointSlice", place) is None:
            self._server.create("EndpointSlice", key[0], body, CONTROLLER)
        else:
            self._server.write("EndpointSlice", place, lambda live: {**live, **body}, CONTROLLER)


def _keep(groups: dict[Group, dict[Key, None]], group: Group, change: Change) -> None:
    members = groups.setdefault(group, {})
    if change.type == "DELETED":
        members.pop(change.key, None)
        if not members:
            del groups[group]
    else:
        members[change.key] = None


def _make_endpoint(pod: Json) -> Json:
    address = pod["status"].get("podIP")
    return {"addresses": [address] if address else [], "conditions": {"ready": is_ready(pod)}}
