"""A gateway that takes routes late, never, or says no; and the rules that it really works by.

Its word (the route's status) and its deed (the rules in force) come at different times: a
gateway may accept a route some seconds before it routes by it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from canarium.sim.apiserver import ApiServer, Change, Key
from canarium.sim.fields import Json

CONTROLLER = "example.com/gateway"
Answer = Literal["Accept", "Refuse", "Never"]
CLASS = "example"
FEATURES = ("HTTPRouteRequestMirror", "HTTPRouteRequestPercentageMirror", "GRPCRoute")


@dataclass(frozen=True, slots=True)
class GatewayRule:
    """One rule of a route: weights by Service, and percent of its requests copied by Service.

    With `by_header` it is only for requests that carry a certain header.
    """

    weights: Mapping[str, int]
    copies: Mapping[str, int]
    by_header: bool = False

    def share(self, service: str) -> float:
        """Percent of the rule's requests that a Service is sent."""
        return 100 * self.weights.get(service, 0) / (sum(self.weights.values()) or 1)


@dataclass(slots=True)
class Manners:
    """How the gateway treats routes: its answer, after how long, and how long until it acts."""

    answer: Answer = "Accept"
    answer_seconds: float = 0.5
    act_seconds: float = 1.5
    "From its word to its deed; routers' settle times have to cover it."


class Gateway:
    """One Gateway, and the controller that serves HTTPRoutes for it."""

    def __init__(self, server: ApiServer, loop: asyncio.AbstractEventLoop, key: Key) -> None:
        self.manners = Manners()
        self.features = FEATURES
        self.acted: Callable[[Key], None] = lambda _key: None
        self.key = key
        self._server = server
        self._loop = loop
        self._rules: dict[Key, tuple[GatewayRule, ...]] = {}
        self._generations: dict[Key, int] = {}
        self._accepted: dict[Key, dict[int, Json]] = {}
        server.listen(self._look)

    def install(self) -> None:
        """Have the Gateway and its class there and programmed."""
        accepted = [{"type": "Accepted", "status": "True"}]
        features = [{"name": name} for name in self.features]
        about = {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "metadata": {"name": CLASS},
            "spec": {"controllerName": CONTROLLER},
            "status": {"conditions": accepted, "supportedFeatures": features},
        }
        if self._server.find("GatewayClass", ("", CLASS)) is None:
            self._server.create("GatewayClass", "", about, "person")
        status = {"conditions": [{"type": "Programmed", "status": "True"}]}
        body = {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "metadata": {"name": self.key[1]},
            "spec": {"gatewayClassName": CLASS},
            "status": status,
        }
        self._server.create("Gateway", self.key[0], body, "person")
        self.catch_up()

    def uninstall(self) -> None:
        """Delete the Gateway; what it routes by stays, as it does where nobody cleans up."""
        self._server.delete("Gateway", self.key, "person")

    def catch_up(self) -> None:
        """Look at every route again, as after its manners have changed."""
        for route in self._server.all_of("HTTPRoute"):
            self._take(route)

    def rules(self, route: Key) -> tuple[GatewayRule, ...]:
        """What a route does in truth: the weights of each of its rules."""
        return self._rules.get(route, ())

    def rules_to_come(self, route: Key) -> tuple[GatewayRule, ...]:
        """What it has accepted and doesn't do yet."""
        specs = self._accepted.get(route, {}).values()
        return tuple(rule for spec in specs for rule in read_rules(spec))

    def _look(self, change: Change) -> None:
        if change.kind != "HTTPRoute":
            return
        if change.type == "DELETED":
            self._rules.pop(change.key, None)
            self._generations.pop(change.key, None)
            self._accepted.pop(change.key, None)
        elif change.was is None or change.was["spec"] != change.body["spec"]:
            self._take(change.body)

    def _take(self, route: Json) -> None:
        if self.manners.answer != "Never":
            meta = route["metadata"]
            key, generation = (meta["namespace"], meta["name"]), meta["generation"]
            self._loop.call_later(self.manners.answer_seconds, self._answer, key, generation)

    def _answer(self, key: Key, generation: int) -> None:
        """Say that a generation was taken, unless there is a later one."""
        route = self._server.find("HTTPRoute", key)
        gateway = self._server.find("Gateway", self.key)
        if route is None or gateway is None or route["metadata"]["generation"] != generation:
            return
        accepted = self.manners.answer == "Accept"
        parent = {"name": self.key[1], "namespace": self.key[0]}
        answer = {
            "parentRef": parent,
            "controllerName": CONTROLLER,
            "conditions": [
                _make_condition("Accepted", generation, accepted=accepted),
                _make_condition("ResolvedRefs", generation, accepted=True),
            ],
        }
        status = {"parents": [answer]}
        self._server.write("HTTPRoute", key, lambda body: {**body, "status": status}, "gateway")
        if accepted:
            self._accepted.setdefault(key, {})[generation] = route["spec"]
            self._loop.call_later(self.manners.act_seconds, self._act, key, generation)

    def _act(self, key: Key, generation: int) -> None:
        """Route by what was accepted from now on."""
        spec = self._accepted.get(key, {}).pop(generation, None)
        if spec is not None and generation > self._generations.get(key, 0):
            self._generations[key] = generation
            self._rules[key] = read_rules(spec)
            self.acted(key)


def read_rules(spec: Json) -> tuple[GatewayRule, ...]:
    """The rules in an HTTPRoute's spec, in their order."""
    return tuple(_read_rule(rule) for rule in spec.get("rules") or ())


def main_rule(rules: Sequence[GatewayRule]) -> GatewayRule:
    """The rule for requests without a special header."""
    return next((rule for rule in rules if not rule.by_header), GatewayRule({}, {}))


def _read_rule(rule: Json) -> GatewayRule:
    weights: dict[str, int] = {}
    for backend in rule.get("backendRefs") or ():
        weights[backend["name"]] = weights.get(backend["name"], 0) + backend.get("weight", 1)
    mirrors = [
        part["requestMirror"] for part in rule.get("filters") or () if "requestMirror" in part
    ]
    copies = {mirror["backendRef"]["name"]: mirror.get("percent", 100) for mirror in mirrors}
    by_header = any("headers" in match for match in rule.get("matches") or ())
    return GatewayRule(weights, copies, by_header)


def _make_condition(kind: str, generation: int, *, accepted: bool) -> Json:
    return {
        "type": kind,
        "status": "True" if accepted else "False",
        "reason": kind if accepted else "NotAllowedByListeners",
        "message": "" if accepted else "no listener allows this route",
        "observedGeneration": generation,
    }
