"""What to do about a Greeting: pure, so that it is tested by values alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from canarium.core.observed import ServiceRecord, WriteFailure
from canarium.core.plan import Create, Plan, Ref, Write

from tests.unit.shell.toy.record import GREETINGS, Greeting


@dataclass(frozen=True, slots=True)
class Observed:
    """What is known of one greeting now."""

    greeting: Greeting
    services: tuple[ServiceRecord, ...]
    failures: tuple[WriteFailure, ...]


def plan_greeting(observed: Observed) -> Plan:
    """Say it in status, and have a Service of its name."""
    greeting = observed.greeting
    status: Mapping[str, Any] = {"text": "Hello, " + greeting.to}
    if observed.failures:
        status = {**status, "problem": observed.failures[0].message}
    return Plan(
        status=status if status != greeting.status else None, writes=tuple(_make_writes(observed))
    )


def report_greeting(greeting: Greeting, problem: str) -> Mapping[str, Any] | None:
    """The status of one whose pass broke; None when it says so already."""
    status = {**greeting.status, "problem": problem}
    return status if status != greeting.status else None


def _make_writes(observed: Observed) -> Iterator[Write]:
    if not observed.services:
        yield Create(Ref("Service", observed.greeting.meta.name), _make_service(observed.greeting))


def _make_service(greeting: Greeting) -> Mapping[str, Any]:
    owner = {
        "apiVersion": GREETINGS.api_version,
        "kind": GREETINGS.kind,
        "name": greeting.meta.name,
        "uid": greeting.meta.uid,
        "controller": True,
    }
    metadata = {
        "name": greeting.meta.name,
        "labels": {"example.dev/greeting": greeting.meta.name},
        "ownerReferences": [owner],
    }
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {"type": "ExternalName", "externalName": f"{greeting.to}.example.com"},
    }
