"""Tells what happened in a namespace, one line a change that a person would call one.

For the message of a failed test: what was written, in order, by the witness's log.
"""

from collections.abc import Callable, Iterator, Sequence

from testbed.witness.changes import ROUTE_KINDS, Change, Json, World, replay, revision_of


def tell(changes: Sequence[Change], model: str = "iris") -> str:
    """The story, with seconds since its first line."""
    lines = list(_tell(changes, model))
    begin = lines[0][0] if lines else 0.0
    return "\n".join(f"{time - begin:8.2f} {words}" for time, words in lines)


def _tell(changes: Sequence[Change], model: str) -> Iterator[tuple[float, str]]:
    told: dict[tuple[str, str], str] = {}
    for world, change in replay(changes, model):
        words = "gone" if change.deleted else _describe(world, change)
        key = (change.kind, change.name)
        if words and told.get(key) != words:
            told[key] = words
            yield change.time, f"{change.kind} {change.name}: {words}"


def _describe(world: World, change: Change) -> str:
    """What there is to say of an object now, "" for nothing."""
    if change.kind in ROUTE_KINDS:
        return _describe_route(world, change.object)
    describe = DESCRIBE.get(change.kind)
    return describe(change.object) if describe else ""


def _describe_deployment(found: Json) -> str:
    status = found.get("status", {})
    return f"{status.get('readyReplicas', 0)} of {found['spec'].get('replicas', 1)} ready"


def _describe_slice(found: Json) -> str:
    ready = [end for end in found.get("endpoints", []) if end["conditions"].get("ready")]
    return f"{len(ready)} ready endpoints"


def _describe_event(found: Json) -> str:
    if found.get("regarding", {}).get("kind") != "ModelDeployment":
        return ""
    return f"{found.get('type')} {found.get('reason')}: {found.get('note')}"


def _describe_model(found: Json) -> str:
    status = found.get("status", {})
    rollout = status.get("rollout", {})
    where = f"{rollout.get('state', '-')} {rollout.get('stepName', '')}".strip()
    sides = [
        f"{side} {status[side].get('revision', '')}={status[side].get('weight', 0)}%"
        for side in ("stable", "canary", "previous")
        if side in status
    ]
    said = f"{status.get('reason', '')} {status.get('message', '')}".strip()
    generation = found["metadata"].get("generation")
    return f"gen {generation} {status.get('phase', '-')}/{where} {' '.join(sides)} [{said}]"


def _describe_route(world: World, found: Json) -> str:
    accepted = [
        f"{c['type']}={c['status']}@{c.get('observedGeneration')}"
        for parent in found.get("status", {}).get("parents", [])
        for c in parent.get("conditions", [])
    ]
    return f"gen {found['metadata'].get('generation')} {world.shares(found)} {' '.join(accepted)}"


DESCRIBE: dict[str, Callable[[Json], str]] = {
    "ModelDeployment": _describe_model,
    "ModelRevision": revision_of,
    "Service": revision_of,
    "Deployment": _describe_deployment,
    "EndpointSlice": _describe_slice,
    "Event": _describe_event,
}
