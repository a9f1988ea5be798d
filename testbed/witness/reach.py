"""How requests come in by an HTTPRoute, and by what a person wrote; read apart from the product."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from testbed.witness.changes import Change, Json

Reach = tuple[frozenset[str], frozenset[str], frozenset[frozenset[str]], frozenset[str]]
"Host names, gateways, the paths of each rule, and timeouts."


def read_reach(route: Json, model: str) -> Reach | None:
    """What a route says; None where it leads to somebody else's backend."""
    spec, namespace = route["spec"], str(route["metadata"].get("namespace", ""))
    rules = spec.get("rules", [])
    backends = [backend["name"] for rule in rules for backend in rule.get("backendRefs", [])]
    if not all(name.startswith(f"{model}-") for name in backends):
        return None
    return (
        frozenset(spec.get("hostnames", [])),
        _read_parents(spec, namespace),
        frozenset(_read_paths(rule.get("matches")) for rule in rules),
        frozenset(_read_timeout(rule) for rule in rules),
    )


def wanted_reach(deployment: Json) -> Reach | None:
    """What a person asks for; None where it is nothing that an HTTPRoute would carry."""
    traffic = deployment["spec"].get("traffic") or {}
    if not traffic.get("parentRefs") or traffic.get("protocol", "HTTP") != "HTTP":
        return None
    paths = [{"path": path} for path in traffic.get("paths") or [{}]]
    return (
        frozenset(traffic.get("hostnames", [])),
        _read_parents(traffic, str(deployment["metadata"].get("namespace", ""))),
        frozenset((_read_paths(paths),)),
        frozenset((_read_timeout(traffic),)),
    )


@dataclass(slots=True)
class Asked:
    """The ways in that the person has ever asked for, by the changes of one model."""

    model: str
    known: set[Reach] = field(default_factory=set)
    theirs: bool = False
    "Whether the latest change shows a route that says what no person asked us for."

    def look(self, change: Change) -> bool:
        """Take a change; whether it shows such a route."""
        mine = change.name == self.model and not change.deleted
        if change.kind == "ModelDeployment" and mine:
            wanted = wanted_reach(change.object)
            self.known |= {wanted} if wanted else set()
        ours = change.kind == "HTTPRoute" and mine and bool(self.known)
        self.theirs = ours and read_reach(change.object, self.model) not in self.known
        return self.theirs


def _read_parents(spec: Json, namespace: str) -> frozenset[str]:
    return frozenset(
        "/".join(
            (
                str(ref.get("kind", "Gateway")),
                str(ref.get("namespace") or namespace),
                str(ref["name"]),
                str(ref.get("sectionName", "")),
                str(ref.get("port", "")),
            )
        )
        for ref in spec.get("parentRefs", [])
    )


def _read_paths(matches: Iterable[Json] | None) -> frozenset[str]:
    found = [match.get("path") or {} for match in matches or [{}]]
    return frozenset(f"{path.get('type', 'PathPrefix')} {path.get('value', '/')}" for path in found)


def _read_timeout(part: Json) -> str:
    return str((part.get("timeouts") or {}).get("request", ""))
