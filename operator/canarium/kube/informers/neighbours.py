"""Routes whoever made them, by what they ask for: which of them get a model's requests.

They are many and other people's, so all is found by host name and path; nothing here goes through
all routes, and only so much of each is looked at.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import TypeAlias

from canarium.core.names import MODEL_LABEL
from canarium.core.observed import Claim, NeighbourRecord, Rival, Share
from canarium.core.spec import ParentRef
from canarium.kube.informers.claims import MOST, Rank
from canarium.kube.informers.store import Key
from canarium.routing.claims import covers, find_share

Place: TypeAlias = tuple[str, str, str]
"Kind, namespace and name of a parent."
Source: TypeAlias = tuple[str, str, str]
"Kind, namespace and name of a route."
Entry: TypeAlias = tuple[str, float, Source, int]
"A path without the slash at its end, the route's creation, the route, which of its demands."
LOOKED = 256
"How many demands are looked at for one claim, and how many host names for a wild one."
KEPT = 4096
"How many demands of a namespace are kept: whoever makes routes without end costs no more."


class Neighbours:
    """An index of routes and of the models that ask for the same."""

    def __init__(self) -> None:
        self._routes: dict[Source, NeighbourRecord] = {}
        self._kept: dict[Source, int] = {}
        "How many of a route's demands are in the index."
        self._entries: dict[Place, dict[str, list[Entry]]] = {}
        self._counts: Counter[str] = Counter()
        self._wanted: dict[Key, tuple[Claim, ...]] = {}
        self._askers: dict[Place, dict[str, dict[str, set[Key]]]] = {}
        "Models by place, host name and path."

    def want(self, key: Key, claims: tuple[Claim, ...]) -> None:
        """Take in what a model asks for now."""
        before = self._wanted.pop(key, ())
        if claims:
            self._wanted[key] = claims
        for claim in before:
            _discard(self._askers, claim, key)
        for claim in claims:
            hosts = self._askers.setdefault(_place(claim.parent), {})
            hosts.setdefault(claim.hostname, {}).setdefault(_path(claim), set()).add(key)

    def take(self, source: Source, route: NeighbourRecord | None) -> set[Key]:
        """Take a route in, None when it is gone: the models that this may concern."""
        before = self._routes.get(source)
        concerned = self._concerned(before) | self._concerned(route)
        if before is not None:
            self._forget(source, before)
        if route is not None:
            self._keep(source, route)
        return concerned

    def find(self, key: Key, own: Rank) -> tuple[Rival, ...]:
        """Whose routes get requests of a model, whose own route has this rank, and how.

        Of its own namespace only older routes for the same are told: what else there is was made
        by colleagues. Routes of ModelDeployments that ask for the same are not found here.
        """
        shared: dict[tuple[Source, Share], list[Claim]] = {}
        for claim in self._wanted.get(key, ()):
            for found in islice(self._look(claim, key, own), MOST):
                shared.setdefault(found, []).append(claim)
        return tuple(
            Rival(namespace, name, tuple(claims), self._routes[kind, namespace, name].kind, share)
            for ((kind, namespace, name), share), claims in shared.items()
        )

    def _look(self, claim: Claim, key: Key, own: Rank) -> Iterator[tuple[Source, Share]]:
        for _, created, source, number in islice(self._near(claim), LOOKED):
            route = self._routes[source]
            share = find_share(claim, route.demands[number])
            older = share == "Older" and (created, source[1:]) < own and not self._is_models(route)
            if share is not None and (older or (share != "Older" and source[1] != key[0])):
                yield source, share

    def _near(self, claim: Claim) -> Iterator[Entry]:
        """Demands for the same host name or one that it covers, whose path may overlap."""
        hosts = self._entries.get(_place(claim.parent), {})
        path = _path(claim)
        yield from _inside(hosts.get(claim.hostname, []), path)
        if claim.hostname == "" or claim.hostname.startswith("*."):
            for hostname in islice(hosts, LOOKED):
                if hostname != claim.hostname and covers(claim.hostname, hostname):
                    above = (_exactly(hosts[hostname], each) for each in _above(path))
                    yield from chain(*above, _inside(hosts[hostname], path))

    def _concerned(self, route: NeighbourRecord | None) -> set[Key]:
        found: set[Key] = set()
        for demand in route.demands if route else ():
            hosts = self._askers.get(_place(demand.claim.parent), {})
            path = _path(demand.claim)
            for hostname in _wider(demand.claim.hostname):
                by_path = hosts.get(hostname, {})
                same = hostname == demand.claim.hostname
                paths = (path, *_above(path)) if same else tuple(by_path)
                found.update(*(by_path.get(each, ()) for each in paths))
        return found

    def _is_models(self, route: NeighbourRecord) -> bool:
        """Whether it is that of a ModelDeployment, which is compared by what its spec asks for."""
        owner, name = route.meta.owner, route.meta.labels.get(MODEL_LABEL, "")
        owned = owner is not None and (owner.kind, owner.name) == ("ModelDeployment", name)
        return owned and (route.meta.namespace, name) in self._wanted

    def _keep(self, source: Source, route: NeighbourRecord) -> None:
        kept = max(0, min(len(route.demands), KEPT - self._counts[source[1]]))
        self._routes[source], self._kept[source] = route, kept
        self._counts[source[1]] += kept
        for number, demand in enumerate(route.demands[:kept]):
            hosts = self._entries.setdefault(_place(demand.claim.parent), {})
            insort(hosts.setdefault(demand.claim.hostname, []), _entry(source, route, number))

    def _forget(self, source: Source, route: NeighbourRecord) -> None:
        del self._routes[source]
        kept = self._kept.pop(source)
        self._counts[source[1]] -= kept
        for number, demand in enumerate(route.demands[:kept]):
            place, hostname = _place(demand.claim.parent), demand.claim.hostname
            entries = self._entries[place][hostname]
            del entries[bisect_left(entries, _entry(source, route, number))]
            if not entries:
                del self._entries[place][hostname]
            if not self._entries[place]:
                del self._entries[place]


def _entry(source: Source, route: NeighbourRecord, number: int) -> Entry:
    return _path(route.demands[number].claim), route.meta.created_at, source, number


def _place(parent: ParentRef) -> Place:
    return parent.kind, parent.namespace, parent.name


def _path(claim: Claim) -> str:
    return claim.path.value.rstrip("/")


def _exactly(entries: list[Entry], path: str) -> Iterator[Entry]:
    for number in range(bisect_left(entries, (path,)), len(entries)):
        if entries[number][0] != path:
            return
        yield entries[number]


def _inside(entries: list[Entry], path: str) -> Iterator[Entry]:
    """Those of the path itself, then those below it."""
    yield from _exactly(entries, path)
    below = f"{path}/"
    for number in range(bisect_left(entries, (below,)), len(entries)):
        if not entries[number][0].startswith(below):
            return
        yield entries[number]


def _above(path: str) -> Iterator[str]:
    """The paths that a path is below: of /a/b/c these are /a/b, /a and the root."""
    while path:
        path = path.rpartition("/")[0]
        yield path


def _wider(hostname: str) -> Iterable[str]:
    """The host name, and what covers it: *.b.c, *.c and any, of a.b.c."""
    labels = hostname.removeprefix("*.").split(".") if hostname else []
    first = 0 if hostname.startswith("*.") else 1
    wild = (f"*.{'.'.join(labels[number:])}" for number in range(first, len(labels)))
    return dict.fromkeys((hostname, *wild, ""))


def _discard(askers: dict[Place, dict[str, dict[str, set[Key]]]], claim: Claim, key: Key) -> None:
    place, path = _place(claim.parent), _path(claim)
    by_path = askers.get(place, {}).get(claim.hostname, {})
    by_path.get(path, set()).discard(key)
    if not by_path.get(path, True):
        del by_path[path]
    if not by_path and place in askers:
        askers[place].pop(claim.hostname, None)
        if not askers[place]:
            del askers[place]
