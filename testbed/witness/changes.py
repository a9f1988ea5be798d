"""The witness's log as values: every change of the objects of a rollout, in the apiserver's order.

All objects live in one etcd, so resourceVersions of different kinds can be compared: sorted by
them, the log is what really happened, however late each watch was.
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

MODEL_LABEL = "canarium.dev/model"
REVISION_LABEL = "canarium.dev/revision"
ROUTE_KINDS = ("HTTPRoute", "TraefikService")
"The kinds of which the object of the model's name shares its traffic; a model has one of them."
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

    @property
    def earliest(self) -> float:
        """When the apiserver noted the latest write that is in it, in whole seconds."""
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
    objects: dict[tuple[str, str], Json] = field(default_factory=dict)
    doomed: set[str] = field(default_factory=set)
    "The uids of what existed when the person deleted the model or its namespace: it may all go."

    def take(self, change: Change) -> None:
        """Let one change happen."""
        key = (change.kind, change.name)
        if _is_going(change) and key in (("ModelDeployment", self.model), _home(change)):
            self.doomed |= {item["metadata"]["uid"] for item in self.objects.values()}
        if change.deleted:
            self.objects.pop(key, None)
        else:
            self.objects[key] = change.object

    def find(self, kind: str, name: str) -> Json | None:
        """One object, or None."""
        return self.objects.get((kind, name))

    def all_of(self, kind: str) -> list[Json]:
        """All objects of a kind that carry the model's label."""
        found = (item for (its_kind, _), item in self.objects.items() if its_kind == kind)
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
        scaling = self._scaling
        return int(scaling.get("replicas", max(1, scaling.get("minReplicas", 1))))

    @property
    def may_idle(self) -> bool:
        """Whether an autoscaler may leave the model without pods."""
        return "maxReplicas" in self._scaling and self._scaling.get("minReplicas") == 0

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
    def _scaling(self) -> Json:
        found: Json = self._spec.get("scaling", {})
        return found

    def revisions(self) -> set[str]:
        """The revisions that exist."""
        return {revision_of(item) for item in self.all_of("ModelRevision")}

    def ready(self, revision: str) -> int:
        """How many ready endpoints the revision's own Services have."""
        services = {
            item["metadata"]["name"]
            for item in self.all_of("Service")
            if revision_of(item) == revision
        }
        return len(set().union(*(self._addresses(name) for name in services)))

    def ready_pods(self, revision: str) -> int:
        """How many pods of the revision are ready and not on their way out."""
        mine = (pod for pod in self.all_of("Pod") if revision_of(pod) == revision)
        return sum(_is_ready(pod) for pod in mine)

    def selected(self, service: Json) -> str:
        """The one revision that a Service selects, "" when it is not just one."""
        selector = service["spec"].get("selector") or {}
        mine = selector.get(MODEL_LABEL) == self.model
        return str(selector.get(REVISION_LABEL, "")) if mine else ""

    def _addresses(self, service: str) -> set[str]:
        slices = (item for (kind, _), item in self.objects.items() if kind == "EndpointSlice")
        mine = [s for s in slices if labels(s).get("kubernetes.io/service-name") == service]
        ends = (end for found in mine for end in found.get("endpoints", []))
        return {str(end["addresses"][0]) for end in ends if end["conditions"].get("ready")}

    def shares(self, route: Json) -> list[Shares]:
        """What each rule for everybody gives to each revision; "?name" is a backend unknown."""
        spec = route["spec"]
        if "weighted" in spec:
            return [self._shares(spec["weighted"].get("services", []))]
        rules = (rule for rule in spec.get("rules", []) if not _is_by_header(rule))
        return [self._shares(rule.get("backendRefs", [])) for rule in rules]

    def demands(self, route: Json) -> list[Shares]:
        """A percent, which is a pod, for whoever is named by header or mirror; then the shares."""
        rules = route["spec"].get("rules", [])
        backends = (b for r in rules if _is_by_header(r) for b in r.get("backendRefs", []))
        filters = (part for rule in rules for part in rule.get("filters", []))
        mirrors = (f["requestMirror"]["backendRef"] for f in filters if "requestMirror" in f)
        named = {self._backend_revision(b["name"]) for b in (*backends, *mirrors)}
        return [dict.fromkeys(named, 1), *self.shares(route)]

    def _shares(self, backends: Iterable[Json]) -> Shares:
        found: Shares = {}
        for backend in backends:
            revision = self._backend_revision(backend["name"])
            found[revision] = found.get(revision, 0) + int(backend.get("weight", 1))
        return found

    def _backend_revision(self, service: str) -> str:
        found = self.find("Service", service)
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


def _home(change: Change) -> tuple[str, str]:
    return "Namespace", change.namespace


def _is_going(change: Change) -> bool:
    return change.deleted or "deletionTimestamp" in change.metadata


def _is_ready(pod: Json) -> bool:
    conditions = pod.get("status", {}).get("conditions", [])
    ready = any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
    return ready and "deletionTimestamp" not in pod["metadata"]


def labels(found: Json) -> Mapping[str, str]:
    """An object's labels."""
    return dict(found["metadata"].get("labels") or {})


def revision_of(found: Json) -> str:
    """The revision that an object belongs to, "" for none."""
    return labels(found).get(REVISION_LABEL, "")


def managers(found: Json) -> set[str]:
    """Who has written to an object, by name of field manager."""
    return {entry["manager"] for entry in found["metadata"].get("managedFields", [])}


def needed(share: int, replicas: int) -> int:
    """Pods that must be ready for a share in percent, where `replicas` carry everything."""
    return max(1, math.ceil(share * replicas / 100)) if share > 0 else 0
