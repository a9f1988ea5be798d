"""What is watched: a reflector for each kind that fills the stores of a cache."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

from canarium.core.kinds import Row
from canarium.kube.client import Client
from canarium.kube.informers.cache import Cache
from canarium.kube.informers.projections import NEIGHBOURS
from canarium.kube.informers.projections.gateways import make_definition_projection
from canarium.kube.informers.projections.meta import Projection
from canarium.kube.informers.reflector import Reflector
from canarium.kube.informers.store import Store
from canarium.kube.kinds import DEFINITIONS, ROUTES, Resource

ABSENT_SECONDS = {False: 30.0, True: 120.0}
"How often is looked for a kind that isn't served, and for one that most clusters lack."


def make_reflectors(
    client: Client,
    cache: Cache,
    namespaces: Sequence[str] = (),
    clock: Callable[[], float] = time.monotonic,
    *,
    disabled: Collection[str] = (),
) -> list[Reflector]:
    """A reflector a kind and namespace (without namespaces one for all); Gateways are everybody's.

    The kinds of features that are `disabled` are not looked for: to the core they are absent.

    The cache is told which kinds of routes are served, and where those that one can do without are
    seen. What is optional may also be forbidden: then it is taken for absent.
    """
    reflectors: list[Reflector] = []

    def note_state() -> None:
        synced = [(r.resource.kind, r.namespace) for r in reflectors if r.state == "synced"]
        served = {kind for kind, _ in synced}
        cache.set_installed(frozenset(kind for kind in ROUTES if kind in served))
        cache.set_seen(
            {
                row.kind: frozenset(home for seen, home in synced if seen == row.kind)
                for row in cache.kinds
                if row.granted
            }
        )

    reflectors += [
        Reflector(
            client,
            Resource.of(row),
            cache.stores[row.kind],
            cache.projections[row.kind],
            selector=row.selector or "",
            namespace=namespace,
            optional=row.optional,
            absent_seconds=ABSENT_SECONDS[row.rare],
            clock=clock,
            on_state=note_state,
            boundary=cache.boundary,
        )
        for row in cache.kinds
        if row.scope == "Served" and row.feature not in disabled
        for namespace in namespaces or (None,)
    ]
    return reflectors + [
        Reflector(
            client,
            resource,
            store,
            project,
            namespace=namespace,
            optional=True,
            absent_seconds=ABSENT_SECONDS[row.rare],
            clock=clock,
            boundary=cache.boundary,
        )
        for row in cache.kinds
        if row.feature not in disabled
        for resource, store, project, namespace in _list_everybodys(cache, row, namespaces)
    ]


def _list_everybodys(
    cache: Cache, row: Row, namespaces: Sequence[str]
) -> Iterator[tuple[Resource, Store[Any], Projection, str | None]]:
    """What anybody makes: routes where models are served, and of the whole cluster the rest."""
    if row.neighbours:
        for kind in (kind for kind in NEIGHBOURS if kind == row.kind):
            for namespace in namespaces or (None,):
                yield Resource.of(row), cache.neighbours[kind], NEIGHBOURS[kind], namespace
    elif row.only:
        for kind, resource in DEFINITIONS.items():
            project = make_definition_projection(kind)
            yield resource, cache.definitions[kind], project, None
    elif row.scope == "Cluster":
        yield Resource.of(row), cache.stores[row.kind], cache.projections[row.kind], None
