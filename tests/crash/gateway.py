"""A gateway that takes every route at once, and pods that crash as soon as they get traffic.

There is no traffic in these tests: what counts is what the operator is told. Models whose pods
carry the annotation `example.com/crashes` are at fault; theirs crash a while after a route has
given them a share.
"""

import asyncio
import json
from collections import defaultdict
from datetime import UTC, datetime
from typing import Any

from benchmarks.rollouts.api import Api
from testbed.addons.gateway import API_VERSION, CONTROLLER, NAMESPACE, apply
from testbed.cluster.cluster import Cluster, make_manifest
from testbed.operators.apiserver import COLLECTIONS
from testbed.programs.definitions import apply_definitions
from tests.crash.mirror import Mirror

Json = dict[str, Any]
CRASHES = "example.com/crashes"
CRASH_AFTER_SECONDS = 3.5
"Long enough for the router to settle (2.5 s) and the step to hold."
STRATEGIC = "application/strategic-merge-patch+json"


def install(cluster: Cluster, definitions: Any) -> None:
    """Gateway API's kinds and a Gateway `gateways/public` that says it is programmed."""
    apply_definitions(cluster, definitions)
    listener = {"name": "http", "protocol": "HTTP", "port": 80}
    spec = {"gatewayClassName": "obliging", "listeners": [listener]}
    class_spec = {"controllerName": CONTROLLER}
    objects = [
        make_manifest(API_VERSION, "GatewayClass", "obliging", spec=class_spec),
        make_manifest("v1", "Namespace", NAMESPACE),
        make_manifest(API_VERSION, "Gateway", "public", namespace=NAMESPACE, spec=spec),
    ]
    apply(cluster, objects)
    about = {"status": "True", "message": "", "observedGeneration": 1}
    since = "2026-01-01T00:00:00Z"
    conditions = [
        {**about, "type": kind, "reason": kind, "lastTransitionTime": since}
        for kind in ("Accepted", "Programmed")
    ]
    patch = json.dumps({"status": {"conditions": conditions}})
    words = ["gateway/public", "--subresource=status", "--type=merge", "-p", patch]
    cluster.kubectl("-n", NAMESPACE, "patch", *words)


class ObligingGateway:
    """Answers each route of its namespaces that it hears of, in tasks of its own.

    Another worker's namespaces have a gateway of theirs: two would write over each other.
    """

    def __init__(self, api: Api, mirror: Mirror, *namespaces: str) -> None:
        self.namespaces = set(namespaces)
        self._api = api
        self._mirror = mirror
        self._writing: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._tasks: set[asyncio.Task[None]] = set()
        self._seen: set[tuple[str, int]] = set()
        self._crashing: set[tuple[str, str]] = set()
        mirror.listeners.append(self.hear)

    def hear(self, kind: str, found: Json) -> None:
        """Take a new generation of a route, and let pods crash that it gives a share."""
        about = found["metadata"]
        if kind != "HTTPRoute" or about["namespace"] not in self.namespaces:
            return
        if (about["uid"], about["generation"]) in self._seen:
            return
        self._seen.add((about["uid"], about["generation"]))
        self._begin(self._accept(found))
        for backend in found["spec"]["rules"][0].get("backendRefs", []):
            service = about["namespace"], backend["name"]
            if backend.get("weight", 1) and service not in self._crashing and self._fails(*service):
                self._crashing.add(service)
                self._begin(self._crash(*service))

    def _begin(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """End what has been begun."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, route: Json) -> None:
        about = route["metadata"]
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        conditions = [
            {
                "type": kind,
                "status": "True",
                "reason": kind,
                "message": "",
                "observedGeneration": about["generation"],
                "lastTransitionTime": now,
            }
            for kind in ("Accepted", "ResolvedRefs")
        ]
        parents = [
            {"parentRef": ref, "controllerName": CONTROLLER, "conditions": conditions}
            for ref in route["spec"]["parentRefs"]
        ]
        path = COLLECTIONS["HTTPRoute"].path(about["namespace"], about["name"])
        async with self._writing[about["uid"]]:
            if self._is_latest(about):
                await self._api.merge(f"{path}/status", {"status": {"parents": parents}})

    def _is_latest(self, about: Json) -> bool:
        """Whether no later generation of a route is known, by its metadata."""
        found = self._mirror.find("HTTPRoute", about["namespace"], about["name"])
        return found is None or found["metadata"]["generation"] <= about["generation"]

    def _fails(self, namespace: str, name: str) -> bool:
        """Whether a revision's pods are of the kind that crashes, by its Deployment's template."""
        found = self._mirror.find("Deployment", namespace, name)
        template = found["spec"]["template"]["metadata"] if found else {}
        return CRASHES in template.get("annotations", {})

    async def _crash(self, namespace: str, name: str) -> None:
        await asyncio.sleep(CRASH_AFTER_SECONDS)
        for kind, pod in self._mirror.all_of(namespace, "Pod"):
            if pod["metadata"]["name"].startswith(f"{name}-"):
                path = COLLECTIONS[kind].path(namespace, pod["metadata"]["name"])
                await self._api.merge(f"{path}/status", make_crash(pod))


def make_crash(pod: Json) -> Json:
    """The status of a pod whose containers crashed twice and are waited with."""
    waiting = {"reason": "CrashLoopBackOff", "message": "back-off 10s restarting failed container"}
    containers = [
        {
            **found,
            "ready": False,
            "started": False,
            "restartCount": 2,
            "state": {"waiting": waiting},
        }
        for found in pod["status"]["containerStatuses"]
    ]
    conditions = [
        {**found, "status": "False"} if found["type"] in ("Ready", "ContainersReady") else found
        for found in pod["status"]["conditions"]
    ]
    return {"status": {"containerStatuses": containers, "conditions": conditions}}
