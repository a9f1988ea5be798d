"""Greetings as the controller works on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from canarium.core.observed import ServiceRecord, WriteFailure
from canarium.core.plan import Plan
from canarium.kube.client import Client
from canarium.kube.informers.projections.services import project_service
from canarium.kube.informers.reflector import Reflector
from canarium.kube.informers.store import Key, Store, own_key
from canarium.kube.kinds import SERVICES
from canarium.kube.queues.keys import KindQueue, ObjectKey
from canarium.kube.queues.workqueue import WorkQueue
from canarium.shell.controller import Tenant

from tests.unit.shell.toy.plan import Observed, plan_greeting, report_greeting
from tests.unit.shell.toy.record import GREETINGS, Greeting, project_greeting


class GreetingTenant(Tenant[Greeting, Observed]):
    """Each greeting says its text in status and has a Service."""

    resource = GREETINGS

    def __init__(self, queue: WorkQueue[ObjectKey]) -> None:
        due = KindQueue(queue, GREETINGS.kind)
        self.store = Store(own_key, due.add)
        self.children = self.services = Services(due.add_soon)

    def observe(self, record: Greeting, failures: tuple[WriteFailure, ...]) -> Observed:
        return Observed(record, self.services.store.of(own_key(record)), failures)

    def plan(self, observed: Observed, now: float) -> Plan:
        return plan_greeting(observed)

    def report(self, record: Greeting, problem: str, now: float) -> Mapping[str, Any] | None:
        return report_greeting(record, problem)

    def project(self, raw: bytes, known: Greeting | None) -> Greeting:
        return project_greeting(raw)

    def make_reflectors(self, client: Client, clock: Callable[[], float]) -> list[Reflector]:
        """What fills its stores."""
        own, services = self.store, self.services.store
        label = "example.dev/greeting"
        return [
            Reflector(client, GREETINGS, own, project_greeting, clock=clock),
            Reflector(client, SERVICES, services, project_service, selector=label, clock=clock),
        ]


class Services:
    """The Services of greetings, found by their owner."""

    def __init__(self, wake: Callable[[Key], None]) -> None:
        self.store: Store[ServiceRecord] = Store(_find_owner, wake)

    def children(self, kind: str) -> Store[Any]:
        return self.store

    def project(self, kind: str, raw: bytes) -> Any:
        return project_service(raw)


def _find_owner(service: ServiceRecord) -> Key | None:
    owner = service.meta.owner
    if owner is None or owner.kind != GREETINGS.kind:
        return None
    return service.meta.namespace, owner.name
