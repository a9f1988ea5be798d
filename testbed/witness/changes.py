"""The log that invariants are checked on: every change of the objects of a rollout, in order.

Three write one. The witness of a real cluster has watches: all objects live in one etcd, so
resourceVersions of different kinds can be compared, and sorted by them the log is what really
happened, however late each watch was. The simulated cluster and the world of the property tests
tell of each change in the moment in which it happens, and by whom.
"""

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

MODEL_LABEL = "canarium.dev/model"
REVISION_LABEL = "canarium.dev/revision"
SERVICE_LABEL = "kubernetes.io/service-name"
ROUTE_KINDS = ("HTTPRoute", "TraefikService")
"The kinds of which the object of the model's name shares its traffic; a model has one of them."
GATEWAY_RULES = "GatewayRules"
"""No kind of a cluster's: the rules that gateways really work by, or are about to, beside what is
written. Only who can look into a gateway has it in the log; it is named like the model."""
Json = Mapping[str, Any]
Shares = dict[str, int]
"Percent of the traffic by revision."


@dataclass(frozen=True, slots=True)
class Change:
    """One change of one object; `time` is when the witness saw it, in seconds since the epoch.

    The witness may be late, all of it or one of its watches: so `time` is one by which it had
    happened, and `earliest` one before which it had not.
    """

    time: float
    type: str
    kind: str
    object: Json
    by: str = ""
    "Who wrote it, where the log is exact and says so; it says the right time then as well."

    @property
    def earliest(self) -> float:
        """When the apiserver noted the latest write that is in it, in whole seconds."""
        if self.by:
            return self.time
        about = self.metadata
        told = [entry.get("time") for entry in about.get("managedFields", [])]
        times = [_read_time(text) for text in (*told, about.get("creationTimestamp")) if text]
        return min(self.time, max(times, default=self.time))

    @property
    def version(self) -> int:
        """The resourceVersion, by which all changes are ordered."""
        return int(self.metadata["resourceVersion"])

    @property
    def metadata(self) -> Json:
        """The object's metadata."""
        found: Json = self.object["metadata"]
        return found

    @property
    def annotations(self) -> Mapping[str, str]:
        """Its annotations."""
        return self.metadata.get("annotations") or {}

    @property
    def namespace(self) -> str:
        """Where the object is; a Namespace is in itself."""
        return self.name if self.kind == "Namespace" else str(self.metadata.get("namespace", ""))

    @property
    def name(self) -> str:
        """What it is called."""
        return str(self.metadata["name"])

    @property
    def deleted(self) -> bool:
        """Whether this change is the object's end."""
        return self.type == "DELETED"


def read_changes(log: Path, namespace: str | None = None) -> list[Change]:
    """The changes of one namespace (or of all), in the apiserver's order.

    A last line that is only half there is passed over.
    """
    whole = (line for line in log.read_text().splitlines(keepends=True) if line.endswith("\n"))
    found = [Change(**json.loads(line)) for line in whole]
    chosen = (change for change in found if namespace in (None, change.namespace))
    return sorted(chosen, key=lambda change: change.version)


@dataclass(slots=True)
class World:
    """What the objects of one model were at one moment."""

    model: str
    kinds: dict[str, dict[str, Json]] = field(default_factory=dict)
    "The objects by kind and name."
    doomed: set[str] = field(default_factory=set)
    "The uids of what existed when the person deleted the model or its namespace: it may all go."

    def take(self, change: Change) -> None:
        """Let one change happen."""
        key = (change.kind, change.name)
        if _is_going(change) and key in (("ModelDeployment", self.model), _home(change)):
            self.doomed |= {o["metadata"]["uid"] for k in self.kinds.values() for o in k.values()}
        objects = self.kinds.setdefault(change.kind, {})
        if change.deleted:
            objects.pop(change.name, None)
        else:
            objects[change.name] = change.object

    def find(self, kind: str, name: str) -> Json | None:
        """One object, or None."""
        return self.kinds.get(kind, {}).get(name)

    def all_of(self, kind: str) -> list[Json]:
        """All objects of a kind that carry the model's label."""
        found = self.kinds.get(kind, {}).values()
        return [item for item in found if labels(item).get(MODEL_LABEL) == self.model]

    @property
    def deployment(self) -> Json | None:
        """The ModelDeployment."""
        return self.find("ModelDeployment", self.model)

    @property
    def wanted_replicas(self) -> int:
        """N: the pods that carry all traffic, as the person wrote it (1 when left out).

        Where an autoscaler chooses, the fewest that it may choose, but one.
        """
        scaling = self.scaling
        return int(scaling.get("replicas", max(1, scaling.get("minReplicas", 1))))

    @property
    def may_idle(self) -> bool:
        """Whether an autoscaler may leave the model without pods."""
        return "maxReplicas" in self.scaling and self.scaling.get("minReplicas") == 0

    @property
    def in_place(self) -> bool:
        """Whether pods may make place for others, so that one is missing at a time."""
        return bool(self._spec.get("rollout", {}).get("capacity") == "InPlace")

    @property
    def rollout(self) -> Json:
        """How the person has new versions rolled out."""
        found: Json = self._spec.get("rollout", {})
        return found

    def needed(self, share: int) -> int:
        """Pods that must be there for a share in percent.

        In place one fewer, with a percent allowed for since weights are whole percents.
        """
        whole = needed(share, self.wanted_replicas)
        if not self.in_place or whole <= 1:
            return whole
        return max(1, needed(share - 1, self.wanted_replicas) - 1)

    @property
    def _spec(self) -> Json:
        found: Json = (self.deployment or {}).get("spec", {})
        return found

    @property
    def scaling(self) -> Json:
        """How the person has it sized."""
        found: Json = self._spec.get("scaling", {})
        return found

    def revisions(self) -> set[str]:
        """The revisions that exist."""
        return {revision_of(item) for item in self.all_of("ModelRevision")}

    def ready(self, revision: str) -> int:
        """How many ready endpoints the revision's own Services have."""
        return len(set().union(*map(self._addresses, self._services_of(revision))))

    def _services_of(self, revision: str) -> set[str]:
        mine = (item for item in self.all_of("Service") if revision_of(item) == revision)
        return {item["metadata"]["name"] for item in mine}

    def _slices(self) -> Iterable[Json]:
        return self.kinds.get("EndpointSlice", {}).values()

    def ready_pods(self, revision: str) -> int:
        """How many pods of the revision are ready and not on their way out."""
        mine = (pod for pod in self.all_of("Pod") if revision_of(pod) == revision)
        return sum(is_ready(pod) for pod in mine)

    def ready_behind_services(self, revision: str) -> int:
        """How many pods of the revision are ready, and told by its endpoints where it has any."""
        pods, services = self.ready_pods(revision), self._services_of(revision)
        told = any(labels(s).get(SERVICE_LABEL) in services for s in self._slices())
        return min(pods, self.ready(revision)) if told else pods

    def selected(self, service: Json | None) -> str:
        """The one revision that a Service selects, "" when it is not just one."""
        selector = (service or {}).get("spec", {}).get("selector") or {}
        mine = selector.get(MODEL_LABEL) == self.model
        return str(selector.get(REVISION_LABEL, "")) if mine else ""

    def _addresses(self, service: str) -> set[str]:
        mine = [s for s in self._slices() if labels(s).get(SERVICE_LABEL) == service]
        ends = (end for found in mine for end in found.get("endpoints", []))
        return {str(end["addresses"][0]) for end in ends if end["conditions"].get("ready")}

    def shares(self, route: Json) -> list[Shares]:
        """What each rule for everybody gives to each revision; "?name" is a backend unknown."""
        return [self._read(backends, self.revision_behind) for backends in _read_main(route)]

    def special_shares(self, route: Json) -> list[Shares]:
        """The same of rules for those who come by a header; a lone backend has all of it."""
        found = (rule.get("backendRefs", []) for rule in _rules(route) if _is_by_header(rule))
        whole = ([{"weight": 100, **b[0]}] if len(b) == 1 else b for b in found)
        return [self._read(backends, self.revision_behind) for backends in whole]

    def copies(self, route: Json) -> Shares:
        """The highest percent of a rule's requests that each revision is sent copies of."""
        filters = (part for rule in _rules(route) for part in rule.get("filters") or ())
        mirrors = [part["requestMirror"] for part in filters if "requestMirror" in part]
        found = ((self._demanded(m["backendRef"]["name"]), m.get("percent", 100)) for m in mirrors)
        return dict(sorted(found, key=lambda copied: int(copied[1])))

    def demands(self, route: Json, *, exact: bool = False, written: bool = False) -> list[Shares]:
        """A percent, which is a pod, for whoever is named by header or mirror; then the shares.

        Shares are in percent, but for what is `written`, be it 60 of 90. Copies count like requests
        in an exact log. On real parts they need somebody to take them, and no more: a copy that is
        lost harms nobody.
        """
        named = (name for shares in self.special_shares(route) for name in shares)
        copies = self.copies(route)
        copied = copies if exact else dict.fromkeys(copies, 1)
        main = [self._read(backends, self._demanded) for backends in _read_main(route)]
        shares = main if written else map(_scale, main)
        return [{**dict.fromkeys(named, 1), **copied}, *shares]

    def _read(self, backends: Iterable[Json], resolve: Callable[[str], str]) -> Shares:
        found: Shares = {}
        for backend in backends:
            revision = resolve(backend["name"])
            found[revision] = found.get(revision, 0) + int(backend.get("weight", 1))
        return found

    def revision_behind(self, service: str) -> str:
        """The revision that a Service is of; "?name" when there is none."""
        found = self.find("Service", service)
        return (revision_of(found) if found else "") or f"?{service}"

    def _demanded(self, service: str) -> str:
        """The same, by the Deployment where the Service has gone already."""
        found = self.find("Service", service) or self.find("Deployment", service)
        return (revision_of(found) if found else "") or f"?{service}"


def replay(changes: Iterable[Change], model: str) -> Iterator[tuple[World, Change]]:
    """Yield each change together with the world as it was just before it.

    The world is one and the same object that goes on: use it before asking for the next.
    """
    world = World(model)
    for change in changes:
        yield world, change
        world.take(change)


def _read_time(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _is_by_header(rule: Json) -> bool:
    return any(match.get("headers") for match in rule.get("matches", []))


def _rules(route: Json) -> Iterable[Json]:
    found: Iterable[Json] = route["spec"].get("rules") or ()
    return found


def _read_main(route: Json) -> list[Iterable[Json]]:
    """The backends of each rule for everybody."""
    if "weighted" in route["spec"]:
        return [route["spec"]["weighted"].get("services", [])]
    return [rule.get("backendRefs", []) for rule in _rules(route) if not _is_by_header(rule)]


def _scale(shares: Shares) -> Shares:
    """In percent, where somebody has written weights that don't sum to 100."""
    whole = sum(shares.values())
    if whole in (0, 100):
        return shares
    return {name: round(100 * share / whole) for name, share in shares.items()}


def _home(change: Change) -> tuple[str, str]:
    return "Namespace", change.namespace


def _is_going(change: Change) -> bool:
    return change.deleted or "deletionTimestamp" in change.metadata


def is_ready(pod: Json) -> bool:
    """Whether a pod can be sent requests, and is not on its way out."""
    conditions = pod.get("status", {}).get("conditions") or ()
    ready = any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
    return ready and "deletionTimestamp" not in pod["metadata"]


def labels(found: Json) -> Mapping[str, str]:
    """An object's labels."""
    known: Mapping[str, str] = found["metadata"].get("labels") or {}
    return known


def revision_of(found: Json) -> str:
    """The revision that an object belongs to, "" for none."""
    return labels(found).get(REVISION_LABEL, "")


def managers(found: Json) -> set[str]:
    """Who has written to an object, by name of field manager."""
    return {entry["manager"] for entry in found["metadata"].get("managedFields", [])}


def needed(share: int, replicas: int) -> int:
    """Pods that must be ready for a share in percent, where `replicas` carry everything."""
    return max(1, math.ceil(share * replicas / 100)) if share > 0 else 0
