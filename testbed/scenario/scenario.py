"""One scenario: a namespace of its own, what a person does in it, and what a witness saw of it."""

import json
import re
import time
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kubernetes.client import ApiException

from testbed.cluster.cluster import Cluster
from testbed.load.traffic import Report
from testbed.operators.account import name_account
from testbed.operators.apiserver import COLLECTIONS, Apiserver, WatchEndedError
from testbed.operators.running import STEADY, Operator, RunningLoad, start_load
from testbed.witness.changes import Change, read_changes, revision_of
from testbed.witness.expectation import Expectation, Violation
from testbed.witness.invariants import find_violations
from testbed.witness.timeline import tell
from testbed.witness.watcher import WATCHED

Json = dict[str, Any]
Holds = Callable[[Json], bool]
CAUGHT_UP_SECONDS = 60.0
LEAST_TOLD = 0.5
"Of a plan: a machine that stood still for longer than it ran proves nothing."


@dataclass(slots=True)
class Scenario:
    """A person's hands in one namespace. `blamed` are the images that are at fault in it.

    `entrance` is the URL by which clients come in: the cluster's first gateway unless told.
    """

    cluster: Cluster
    apiserver: Apiserver
    witness: Path
    directory: Path
    namespace: str
    operator: Operator | None = None
    load: RunningLoad | None = None
    entrance: str | None = None
    blamed: set[str] = field(default_factory=set)
    returns: int = 0
    "How often what is blamed may lose its traffic and get it back before it is rejected."
    models: set[str] = field(default_factory=set)

    @property
    def host(self) -> str:
        """The host name by which this scenario's model is reached, and no other's."""
        return f"{self.namespace}.example.com"

    @property
    def account(self) -> str:
        """Who the operator is to the apiserver."""
        assert self.operator is not None
        return name_account(self.operator.namespace)

    def kubectl(self, *words: str, stdin: str | None = None) -> str:
        """Run kubectl as a person in this namespace."""
        return self.cluster.kubectl("-n", self.namespace, *words, stdin=stdin)

    def apply(self, *manifests: Mapping[str, Any]) -> None:
        """`kubectl apply` of objects."""
        for manifest in manifests:
            if manifest["kind"] == "ModelDeployment":
                self.models.add(manifest["metadata"]["name"])
            self.kubectl("apply", "-f", "-", stdin=json.dumps(manifest))

    def command(self, verb: str, revision: str, model: str = "iris") -> None:
        """Give a command the way the design has it: an annotation with an id of its own."""
        value = f"canarium.dev/{verb}={revision}@{time.time_ns()}"
        self.kubectl("annotate", "--overwrite", f"modeldeployment/{model}", value)

    def get(self, kind: str, name: str) -> Json | None:
        """One object, or None."""
        try:
            return self.apiserver.get(COLLECTIONS[kind].path(self.namespace, name))
        except ApiException as error:
            if error.status == 404:
                return None
            raise

    def all_of(self, kind: str) -> list[Json]:
        """All objects of a kind in this namespace."""
        found: list[Json] = self.apiserver.get(COLLECTIONS[kind].path(self.namespace))["items"]
        return found

    def wait(
        self, holds: Holds, seconds: float, *, model: str = "iris", since: str | None = None
    ) -> Json:
        """Wait until something holds of the ModelDeployment, and return it.

        Of what lasts for a moment only, `since` is a `mark` that was taken before it could begin.
        """
        return self.wait_for("ModelDeployment", model, holds, seconds, since=since)

    def mark(self) -> str:
        """This moment, from which on a wait misses nothing, however late it begins."""
        path = COLLECTIONS["ModelDeployment"].path(self.namespace)
        return str(self.apiserver.get(path)["metadata"]["resourceVersion"])

    def wait_for(
        self, kind: str, name: str, holds: Holds, seconds: float, *, since: str | None = None
    ) -> Json:
        """Wait until something holds of one object; fails with the story of the namespace.

        The last look is after the last second: the machine may have stood still until then.
        """
        deadline = time.monotonic() + seconds
        while True:
            left = deadline - time.monotonic()
            found = self._wait_once(kind, name, holds, left, since)
            if found is not None:
                return found
            if left <= 0:
                break
            since = None
        raise AssertionError(
            f"{kind} {name} did not come to {describe(holds)} within {seconds} s\n{self.tell()}"
        )

    def _wait_once(
        self, kind: str, name: str, holds: Holds, seconds: float, since: str | None
    ) -> Json | None:
        path, selector = COLLECTIONS[kind].path(self.namespace), f"metadata.name={name}"
        if since is None:
            listed = self.apiserver.get(path)
            now: list[Json] = [item for item in listed["items"] if item["metadata"]["name"] == name]
            if now and holds(now[0]):
                return now[0]
            since = str(listed["metadata"]["resourceVersion"])
        if seconds <= 0:
            return None
        try:
            changes = self.apiserver.watch(path, since, seconds=max(1, seconds), selector=selector)
            return next(
                (item for type_, item in changes if type_ != "DELETED" and holds(item)), None
            )
        except WatchEndedError:
            return None

    def wait_gone(self, kind: str, name: str, seconds: float) -> None:
        """Wait until an object is no more."""
        deadline = time.monotonic() + seconds
        while self.get(kind, name) is not None:
            if time.monotonic() > deadline:
                raise AssertionError(f"{kind} {name} is still there\n{self.tell()}")
            time.sleep(0.2)

    def start_load(self, points: Sequence[tuple[float, float]] = STEADY) -> RunningLoad:
        """Begin to send predictions: 20 a second, or as a ramp through these points has it."""
        entrance = self.entrance or self.cluster.gateway_url
        assert entrance is not None
        self.load = start_load(entrance, self.host, self.directory, points)
        return self.load

    def load_so_far(self) -> Report:
        """What the client has seen until now; it goes on."""
        assert self.load is not None
        return self.load.report()

    def stop_load(self) -> Report:
        """End the load; 99 % of what was due while the machine ran must tell of the product.

        And half of the plan: requests that could not leave, or ran out of time, while the machine
        stood still don't.
        """
        assert self.load is not None
        report, self.load = self.load.stop(), None
        assert report.proven_share >= 0.99, (
            f"only {report.proven_share:.1%} of what was due while the machine did not stand still "
            f"was sent\n{report.describe_failures()}"
        )
        assert report.told_share >= LEAST_TOLD, report.describe_failures()
        return report

    def changes(self) -> list[Change]:
        """All that happened in this namespace by now, once the witness has seen it.

        Nothing later: of that one of its watches may have shown the effect before the cause.
        """
        now = int(self.mark())
        there = {
            (kind, item["metadata"]["uid"]): item["metadata"]
            for kind in WATCHED
            if kind not in ("Event", "Namespace")
            for item in self._list_if_served(kind)
        }
        deadline = time.monotonic() + CAUGHT_UP_SECONDS
        while missing := find_unseen(there, found := read_changes(self.witness, self.namespace)):
            if time.monotonic() > deadline:
                raise AssertionError(f"the witness has not seen {', '.join(missing)}")
            time.sleep(0.1)
        return [change for change in found if change.version <= now]

    def _list_if_served(self, kind: str) -> list[Json]:
        try:
            return self.all_of(kind)
        except ApiException as error:
            if error.status == 404:
                return []
            raise

    def find_violations(self) -> list[Violation]:
        """What was violated in this namespace so far."""
        changes = self.changes()
        blamed = frozenset(find_revision(changes, image) for image in self.blamed) - {""}
        checks = (
            find_violations(changes, Expectation(m, blamed, self.returns))
            for m in sorted(self.models)
        )
        return [violation for found in checks for violation in found]

    def tell(self) -> str:
        """The story of the namespace, and the operator's last words."""
        changes = read_changes(self.witness, self.namespace)
        stories = [tell(changes, model) for model in sorted(self.models)]
        return "\n".join([*stories, *self._operators_words()[-30:], *read_pressure()])

    def _operators_words(self) -> list[str]:
        return self.operator.tell().splitlines() if self.operator else []

    def delete_namespace(self) -> None:
        """Leave nothing behind that takes the next scenario's processor time."""
        self.cluster.kubectl("delete", "namespace", self.namespace, "--wait=false")


def read_pressure() -> list[str]:
    """How much of the time somebody waited for a processor: a starved machine proves nothing."""
    pressure = Path("/proc/pressure/cpu")
    return [f"{pressure}: {pressure.read_text().splitlines()[0]}"] if pressure.exists() else []


def make_scenario(
    cluster: Cluster, apiserver: Apiserver, witness: Path, directory: Path, name: str
) -> Scenario:
    """A scenario in a new namespace named after it."""
    words = re.sub("[^a-z0-9]+", "-", name.lower().removeprefix("test_"))
    namespace = f"{words[:36]}-{zlib.crc32(name.encode()):08x}"
    cluster.kubectl("create", "namespace", namespace)
    return Scenario(cluster, apiserver, witness, directory, namespace)


def find_revision(changes: Iterable[Change], image: str) -> str:
    """The revision whose pods run an image, "" when there is none."""
    for change in changes:
        if change.kind == "Deployment":
            containers = change.object["spec"]["template"]["spec"]["containers"]
            if any(container["image"] == image for container in containers):
                return revision_of(change.object)
    return ""


def phase(wanted: str) -> Holds:
    """Holds of a ModelDeployment in a phase, of the spec as it is now."""

    def holds(found: Json) -> bool:
        status = found.get("status", {})
        return is_current(found) and status.get("phase") == wanted

    return named(holds, f"phase {wanted}")


def find_unseen(there: Mapping[tuple[str, str], Json], changes: Iterable[Change]) -> list[str]:
    """What of this metadata, by kind and uid, is newer than what the witness has seen."""
    seen = {(change.kind, change.metadata["uid"]): change.version for change in changes}
    return [
        f"{key[0]} {about['name']}"
        for key, about in there.items()
        if seen.get(key, 0) < int(about["resourceVersion"])
    ]


def condition(kind: str, status: str, reason: str | None = None) -> Holds:
    """Holds of an object with a condition, of the spec as it is now."""

    def holds(found: Json) -> bool:
        has = get_condition(found, kind)
        return (
            is_current(found)
            and has.get("status") == status
            and reason in (None, has.get("reason"))
        )

    return named(holds, f"{kind}={status} {reason or ''}".strip())


def counts(used: Mapping[str, str]) -> Holds:
    """Holds of a ResourceQuota that is in force and has counted so much."""

    def holds(found: Json) -> bool:
        status = found.get("status", {})
        counted = (status.get("hard"), status.get("used"))
        return counted == (found["spec"]["hard"], used)

    return named(holds, f"a quota that has counted {used}")


def in_state(state: str) -> Holds:
    """Holds of a ModelDeployment in a state of its rollout, of the spec as it is now."""

    def holds(found: Json) -> bool:
        return is_current(found) and found["status"].get("rollout", {}).get("state") == state

    return named(holds, f"state {state}")


def weight(wanted: int, state: str | None = None) -> Holds:
    """Holds of a ModelDeployment whose canary has a share (in a state)."""

    def holds(found: Json) -> bool:
        status = found.get("status", {})
        has = status.get("canary", {}).get("weight", 0)
        return has == wanted and state in (None, status.get("rollout", {}).get("state"))

    return named(holds, f"a canary at {wanted} {state or ''}".strip())


def is_current(found: Json) -> bool:
    """Whether the status is about the spec as it is now."""
    seen = found.get("status", {}).get("observedGeneration")
    return bool(seen == found["metadata"].get("generation"))


def has_evidence(found: Json) -> bool:
    """a record of how it went"""
    return bool(found.get("status", {}).get("evidence"))


def get_condition(found: Json, kind: str) -> Json:
    """One condition of an object; empty when it hasn't got it."""
    conditions = found.get("status", {}).get("conditions", [])
    return next((dict(c) for c in conditions if c["type"] == kind), {})


def named(holds: Holds, words: str) -> Holds:
    """Give a condition the words by which a failed wait names it."""
    holds.__doc__ = words
    return holds


def serves(version: str) -> Holds:
    """Holds of a ModelDeployment at rest with a version."""

    def holds(found: Json) -> bool:
        stable = found.get("status", {}).get("stable", {})
        return phase("Healthy")(found) and stable.get("version") == version

    return named(holds, f"serves {version}")


def describe(holds: Holds) -> str:
    """The words of a condition."""
    return holds.__doc__ or holds.__name__
