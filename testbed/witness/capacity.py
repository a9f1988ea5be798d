"""What a witness's log says of capacity: who had how many pods ready when, and who changed sizes.

An autoscaler's decisions are read from the Deployments' sizes, not from anybody's status.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from testbed.witness.changes import ROUTE_KINDS, Change, Shares, World, replay, revision_of

LOOKED_AT = ("Deployment", "Service", "EndpointSlice", *ROUTE_KINDS)
Rate = Callable[[float], float]
"Requests a second at a time in seconds since the epoch."


@dataclass(frozen=True, slots=True)
class Look:
    """How things stood from `time` on: pods wanted and ready by revision, and written shares."""

    time: float
    wanted: dict[str, int]
    ready: dict[str, int]
    shares: Shares


@dataclass(frozen=True, slots=True)
class Dip:
    """A revision that had fewer ready pods than its share of the load needs."""

    time: float
    revision: str
    ready: int
    needed: float

    def __str__(self) -> str:
        return f"{self.time:.2f}: {self.revision} had {self.ready} of {self.needed:.2f} pods"


def find_looks(changes: Sequence[Change], model: str) -> list[Look]:
    """Every moment at which any of it changed."""
    found: list[Look] = []
    for world, change in replay(changes, model):
        if change.kind in LOOKED_AT:
            world.take(change)
            look = _look(world, change.time)
            if not found or _content(look) != _content(found[-1]):
                found.append(look)
    return found


def _look(world: World, time: float) -> Look:
    deployments = world.all_of("Deployment")
    wanted = {revision_of(item): int(item["spec"].get("replicas", 1)) for item in deployments}
    routes = (world.find(kind, world.model) for kind in ROUTE_KINDS)
    shares = [found for route in routes if route for found in world.shares(route)]
    ready = {revision: world.ready(revision) for revision in wanted}
    return Look(time, wanted, ready, shares[0] if shares else {})


def _content(look: Look) -> tuple[object, ...]:
    return look.wanted, look.ready, look.shares


def find_dips(
    looks: Sequence[Look], rate: Rate, carried: float, begin: float, end: float
) -> list[Dip]:
    """Each moment within these times at which the ready pods could not carry what was offered.

    `carried` is how many requests a second one pod was measured to carry. By revision: pods of one
    don't serve what the route gives to the other.
    """
    return [dip for look in _clip(looks, begin, end) for dip in _find_dips(look, rate, carried)]


def _clip(looks: Sequence[Look], begin: float, end: float) -> Iterator[Look]:
    """The looks within these times, the one that held at the beginning included."""
    for look, following in pairwise([*looks, Look(float("inf"), {}, {}, {})]):
        if look.time < end and following.time > begin:
            yield look


def _find_dips(look: Look, rate: Rate, carried: float) -> Iterator[Dip]:
    for revision, share in sorted(look.shares.items()):
        needed = rate(look.time) * share / 100 / carried
        if (ready := look.ready.get(revision, 0)) < needed:
            yield Dip(look.time, revision, ready, needed)


def find_sizes(looks: Sequence[Look], revision: str) -> list[tuple[float, int]]:
    """When a revision's Deployment got which size, from the first on."""
    sizes = [(look.time, look.wanted[revision]) for look in looks if revision in look.wanted]
    return [at for before, at in pairwise([(0.0, -1), *sizes]) if at[1] != before[1]]


def find_size_at(looks: Sequence[Look], revision: str, time: float) -> int:
    """The size at a time; 0 before the first."""
    return next((n for begun, n in reversed(find_sizes(looks, revision)) if begun <= time), 0)


def find_fewest_ready(changes: Sequence[Change], model: str, begin: int, end: int) -> int:
    """How many pods of all revisions together were ready when fewest were.

    From one resourceVersion to another. Pods that are on their way out don't count.
    """
    fewest = None
    for world, change in replay(changes, model):
        if change.kind == "Pod":
            world.take(change)
            now = sum(world.ready_pods(revision) for revision in world.revisions())
            if change.version <= begin or fewest is None:
                fewest = now
            elif change.version <= end:
                fewest = min(fewest, now)
    return fewest or 0
