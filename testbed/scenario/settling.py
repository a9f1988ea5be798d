"""How soon a gateway works by new weights: what the routers' settle times rest on.

`python -m testbed.scenario.settling --gateway envoy` turns all traffic from one backend to the
other, again and again, under a steady stream of requests, and prints a table.
"""

import argparse
import asyncio
import itertools
import os
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

from testbed.addons.gateway import apply
from testbed.cluster import lifecycle
from testbed.cluster.cluster import Cluster
from testbed.operators.apiserver import COLLECTIONS, Apiserver
from testbed.programs.progress import Progress
from testbed.servers.backends import (
    CANARY,
    STABLE,
    deploy_backends,
    make_host,
    make_route,
    make_rule,
)

NAMESPACE = "settling"
ROUTE = "turning"
GATEWAYS = {"traefik": "public", "envoy": "envoy"}
CONNECTIONS = 4
PAUSE_SECONDS = 0.005
POLL_SECONDS = 0.005
BURST_SPACING_SECONDS = 0.1
WATCHED_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Turn:
    """Seconds from the acknowledged write of the weights: what the client saw, what status said."""

    accepted: float
    first_new: float
    last_old: float

    @property
    def after_word(self) -> float:
        """How long the old backend still answered after the route's status had the generation."""
        return max(0.0, self.last_old - self.accepted)


class Stream:
    """Requests on a few connections that are kept alive; every answer with the time it came."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.answers: list[tuple[float, str]] = []

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Ask for as long as the block lasts."""
        headers = {"Host": make_host(ROUTE)}
        async with aiohttp.ClientSession(headers=headers) as session, asyncio.TaskGroup() as group:
            tasks = [group.create_task(self.ask(session)) for _ in range(CONNECTIONS)]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()

    async def ask(self, session: aiohttp.ClientSession) -> None:
        """Ask again and again."""
        while True:
            async with session.get(self.url) as response:
                body = await response.text()
            self.answers.append((time.monotonic(), body))
            await asyncio.sleep(PAUSE_SECONDS)


class Route:
    """The route whose weights are turned."""

    def __init__(self, cluster: Cluster, gateway: str) -> None:
        rule = make_rule({STABLE: 100, CANARY: 0})
        apply(cluster, [make_route(ROUTE, NAMESPACE, gateway, rule, kind="HTTPRoute")])
        self.apiserver = Apiserver(cluster.kubeconfig)
        self.path = COLLECTIONS["HTTPRoute"].path(NAMESPACE, ROUTE)

    async def write(self, stable: int) -> int:
        """Write stable's weight, the canary gets the rest; the generation that it made."""
        spec = {"rules": [make_rule({STABLE: stable, CANARY: 100 - stable})]}
        written = await asyncio.to_thread(self.apiserver.merge, self.path, {"spec": spec})
        return int(written["metadata"]["generation"])

    async def await_word(self, generation: int) -> float:
        """The time at which every condition was about this generation."""
        while True:
            found = await asyncio.to_thread(self.apiserver.get, self.path)
            if find_generations(found) == {generation}:
                return time.monotonic()
            await asyncio.sleep(POLL_SECONDS)


def find_generations(route: dict[str, Any]) -> set[int]:
    """The generations that the conditions of a route are about."""
    parents = route.get("status", {}).get("parents", [])
    return {c["observedGeneration"] for parent in parents for c in parent["conditions"]}


async def turn(route: Route, stream: Stream, new: str, burst: int) -> Turn:
    """Give all traffic to `new`, after so many small changes close together; watch what happens."""
    for number in range(burst):
        await route.write(90 - number if new == CANARY else 10 + number)
        await asyncio.sleep(BURST_SPACING_SECONDS)
    generation = await route.write(100 if new == STABLE else 0)
    written = time.monotonic()
    accepted = await route.await_word(generation)
    await asyncio.sleep(WATCHED_SECONDS)
    later = [(at - written, body) for at, body in stream.answers if at > written]
    stream.answers.clear()
    return Turn(
        accepted=accepted - written,
        first_new=min(at for at, body in later if body == new),
        last_old=max((at for at, body in later if body != new), default=0.0),
    )


async def measure(cluster: Cluster, gateway: str, turns: int, burst: int) -> list[Turn]:
    """Turn the traffic to and fro so many times."""
    url = cluster.envoy_url if gateway == "envoy" else cluster.gateway_url
    route, stream = Route(cluster, GATEWAYS[gateway]), Stream(f"{url}/")
    await asyncio.sleep(WATCHED_SECONDS)
    async with stream.running():
        backends = itertools.islice(itertools.cycle((CANARY, STABLE)), turns)
        return [await turn(route, stream, new, burst) for new in backends]


def format_row(name: str, seconds: Sequence[float]) -> str:
    """One line: the median and the worst, in milliseconds."""
    ordered = sorted(seconds)
    return f"| {name} | {ordered[len(ordered) // 2] * 1000:.0f} | {ordered[-1] * 1000:.0f} |"


def main() -> None:
    """Measure on the cluster that CANARIUM_CLUSTER names, and print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m testbed.scenario.settling", description=__doc__
    )
    parser.add_argument("--gateway", choices=sorted(GATEWAYS), default="envoy")
    parser.add_argument("--turns", type=int, default=10)
    parser.add_argument("--burst", type=int, default=0, help="changes shortly before each turn")
    arguments = parser.parse_args()
    cluster = lifecycle.find(os.environ.get("CANARIUM_CLUSTER", lifecycle.DEFAULT_NAME))
    install = (
        cluster.install_envoy_gateway if arguments.gateway == "envoy" else cluster.install_gateway
    )
    install(Progress())
    deploy_backends(cluster, NAMESPACE)
    turns = asyncio.run(measure(cluster, arguments.gateway, arguments.turns, arguments.burst))
    print("| milliseconds after the write | median | worst |\n| --- | --- | --- |")
    print(format_row("status has the generation", [found.accepted for found in turns]))
    if not arguments.burst:  # else both have answered all along
        print(format_row("first answer of the new", [found.first_new for found in turns]))
    print(format_row("last answer of the old", [found.last_old for found in turns]))
    print(format_row("the old after status", [found.after_word for found in turns]))
    cluster.kubectl("delete", "namespace", NAMESPACE)


if __name__ == "__main__":
    main()
