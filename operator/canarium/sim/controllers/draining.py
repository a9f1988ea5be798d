"""A node is drained as `kubectl drain` does it: cordoned, and its pods evicted as budgets allow.

What an eviction may take goes by Kubernetes' disruption controller: of the pods that a budget's
selector finds, the ready ones that are above what has to stay.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator

from canarium.sim.apiserver import ApiServer, Key, is_deleting, is_ready, labels_of
from canarium.sim.controllers.pods import Pods
from canarium.sim.fields import Json

EVICTION = "eviction"
RETRY_SECONDS = 5.0
"How soon kubectl tries again what a budget has refused."


class Drain:
    """Evicts every pod of a node, for as long as it takes."""

    def __init__(self, server: ApiServer, loop: asyncio.AbstractEventLoop, pods: Pods) -> None:
        self._server = server
        self._loop = loop
        self._pods = pods
        self._draining: set[str] = set()
        self.refused = 0
        "Evictions that a budget has refused so far."

    def begin(self, node: str) -> None:
        """Cordon a node and evict its pods until it is empty."""
        self._pods.cordon(node)
        if node not in self._draining:
            self._draining.add(node)
            self._loop.call_soon(self._evict_all, node)

    def end(self, node: str) -> None:
        """Stop draining a node, and let pods be placed there again."""
        self._draining.discard(node)
        self._pods.uncordon(node)

    def is_empty(self, node: str) -> bool:
        """Whether no pod is left on a node."""
        return not self._pods.on_node(node)

    def evict(self, key: Key) -> bool:
        """Ask for one pod's eviction; whether its budgets allow it."""
        pod = self._server.find("Pod", key)
        if pod is None or is_deleting(pod):
            return True
        if not all(self._allows(budget, pod) for budget in self._budgets_of(pod)):
            self.refused += 1
            return False
        self._server.delete("Pod", key, EVICTION)
        return True

    def _evict_all(self, node: str) -> None:
        if node not in self._draining:
            return
        for key in self._pods.on_node(node):
            self.evict(key)
        if self.is_empty(node):
            self._draining.discard(node)
        else:
            self._loop.call_later(RETRY_SECONDS, self._evict_all, node)

    def _budgets_of(self, pod: Json) -> Iterator[Json]:
        for budget in self._server.all_of("PodDisruptionBudget"):
            same = budget["metadata"]["namespace"] == pod["metadata"]["namespace"]
            if same and _selects(budget, pod):
                yield budget

    def _allows(self, budget: Json, pod: Json) -> bool:
        """Whether a budget lets a pod go; of one that isn't ready it may not care."""
        policy = budget["spec"].get("unhealthyPodEvictionPolicy", "IfHealthyBudget")
        if not is_ready(pod) and policy == "AlwaysAllow":
            return True
        return self.count_allowed(budget) > 0

    def count_allowed(self, budget: Json) -> int:
        """How many ready pods a budget lets go now."""
        namespace = budget["metadata"]["namespace"]
        owners = (d for d in self._server.all_of("Deployment") if _is_in(d, namespace))
        expected = sum(int(d["spec"]["replicas"]) for d in owners if _selects_template(budget, d))
        pods = (p for p in self._server.all_of("Pod") if _is_in(p, namespace))
        found = [p for p in pods if _selects(budget, p) and not is_deleting(p)]
        healthy = sum(map(is_ready, found))
        return healthy - (expected - _most_unavailable(budget, expected))


def _is_in(body: Json, namespace: str) -> bool:
    return bool(body["metadata"]["namespace"] == namespace)


def _selects(budget: Json, pod: Json) -> bool:
    selector: Json = budget["spec"]["selector"]["matchLabels"]
    return selector.items() <= labels_of(pod).items()


def _selects_template(budget: Json, deployment: Json) -> bool:
    return _selects(budget, deployment["spec"]["template"])


def _most_unavailable(budget: Json, expected: int) -> int:
    """How many pods a budget lets be missing: percent are rounded up."""
    most = budget["spec"]["maxUnavailable"]
    if isinstance(most, int):
        return most
    return math.ceil(expected * int(most.removesuffix("%")) / 100)
