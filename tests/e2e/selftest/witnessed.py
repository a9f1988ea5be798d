"""Builds a witness's log by hand: each method is one write that somebody made."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from testbed.witness.changes import MODEL_LABEL, REVISION_LABEL, Change, Json

MODEL = "iris"


@dataclass(slots=True)
class Log:
    """A log that grows; time stands still but for `wait`."""

    changes: list[Change] = field(default_factory=list)
    now: float = 1000.0
    _generation: int = 0
    _accepted: int = 0
    _last: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)

    def wait(self, seconds: float) -> "Log":
        self.now += seconds
        return self

    def model(self, *, replicas: int = 2, generation: int = 1, **metadata: Any) -> "Log":
        return self._model({"replicas": replicas}, generation, **metadata)

    def stepped(self, *steps: Json, generation: int = 1, **metadata: Any) -> "Log":
        """A model of two pods with steps."""
        spec = {"scaling": {"replicas": 2}, "rollout": {"steps": list(steps)}}
        found = {"generation": generation, **metadata}
        return self._write("ModelDeployment", MODEL, {"spec": spec}, None, **found)

    def scaled_model(self, *, least: int, generation: int = 1) -> "Log":
        """One that an autoscaler sizes."""
        return self._model({"minReplicas": least, "maxReplicas": 9}, generation)

    def exposed_model(self, host: str, *, generation: int = 1) -> "Log":
        """One that is reached by a host name through a gateway."""
        traffic = {"parentRefs": [{"name": "public"}], "hostnames": [host]}
        spec = {"scaling": {"replicas": 2}, "traffic": traffic}
        return self._write("ModelDeployment", MODEL, {"spec": spec}, None, generation=generation)

    def exposed_route(self, host: str, path: str = "/", backend: str = f"{MODEL}-v1") -> "Log":
        """A route by which v1, or another backend, is reached."""
        self._generation += 1
        matches = [{"path": {"type": "PathPrefix", "value": path}}]
        rules = [{"matches": matches, "backendRefs": [{"name": backend, "weight": 100}]}]
        spec = {"parentRefs": [{"name": "public"}], "hostnames": [host], "rules": rules}
        return self._write("HTTPRoute", MODEL, {"spec": spec}, None, generation=self._generation)

    def _model(self, scaling: Json, generation: int, **metadata: Any) -> "Log":
        found = {"generation": generation, **metadata}
        return self._write("ModelDeployment", MODEL, {"spec": {"scaling": scaling}}, None, **found)

    def model_deleted(self) -> "Log":
        return self._delete("ModelDeployment", MODEL)

    def namespace_deleted(self) -> "Log":
        return self._write("Namespace", "e2e", {}, None, uid="home", deletionTimestamp="now")

    def revision(self, name: str, *, pods: int = 2, ready: int | None = None) -> "Log":
        """A revision with its Deployment, Service and ready endpoints."""
        self._write("ModelRevision", f"{MODEL}-{name}", {}, name)
        self.scale(name, pods)
        self._write("Service", f"{MODEL}-{name}", {"spec": {}}, name)
        return self.ready(name, pods if ready is None else ready)

    def leads(self, name: str) -> "Log":
        """The leading Service selects one revision."""
        selector = {MODEL_LABEL: MODEL, REVISION_LABEL: name}
        return self._write("Service", MODEL, {"spec": {"selector": selector}}, None)

    def ready_pods(self, name: str, count: int) -> "Log":
        for number in range(count):
            condition = {"type": "Ready", "status": "True"}
            pod = {"status": {"conditions": [condition]}}
            self._write("Pod", f"{MODEL}-{name}-{number}", pod, name)
        return self

    def pod_lost(self, name: str, number: int) -> "Log":
        return self._delete("Pod", f"{MODEL}-{name}-{number}")

    def scale(self, name: str, pods: int) -> "Log":
        return self._write("Deployment", f"{MODEL}-{name}", {"spec": {"replicas": pods}}, name)

    def deployment_deleted(self, name: str) -> "Log":
        return self._delete("Deployment", f"{MODEL}-{name}")

    def ready(self, name: str, count: int) -> "Log":
        ends = [
            {"addresses": [f"198.18.{ord(name[-1])}.{i}"], "conditions": {"ready": i < count}}
            for i in range(4)
        ]
        owner = {"kubernetes.io/service-name": f"{MODEL}-{name}"}
        return self._write("EndpointSlice", f"{MODEL}-{name}-x", {"endpoints": ends}, None, owner)

    def route(self, **shares: int) -> "Log":
        self._generation += 1
        return self._route(shares)

    def preview(self, name: str, **shares: int) -> "Log":
        """A route with a rule by header before the one for everybody."""
        rule = {"matches": [{"headers": [{"name": "x-canary", "value": "1"}]}]}
        self._generation += 1
        return self._route(shares, [{**rule, "backendRefs": [{"name": f"{MODEL}-{name}"}]}])

    def mirror(self, name: str, **shares: int) -> "Log":
        """A route of which everybody's rule sends copies to a revision."""
        copies = {"requestMirror": {"backendRef": {"name": f"{MODEL}-{name}"}}}
        self._generation += 1
        return self._route(shares, filters=[copies])

    def accept(self, noted: str = "") -> "Log":
        """The gateway takes the last version of the route; `noted` is when, by the apiserver."""
        self._accepted = self._generation
        entry = {"manager": "traefik", "operation": "Update", "subresource": "status"}
        fields = {"managedFields": [{**entry, "time": noted}]} if noted else {}
        return self._route(None, about=fields)

    def traefik(self, **shares: int) -> "Log":
        """The weights of Traefik's own kind, of which nobody says that it was accepted."""
        self._generation += 1
        services = [{"name": f"{MODEL}-{k}", "weight": v} for k, v in shares.items()]
        body = {"spec": {"weighted": {"services": services}}}
        return self._write("TraefikService", MODEL, body, None, generation=self._generation)

    def _route(
        self,
        shares: dict[str, int] | None,
        rules: Sequence[Json] = (),
        about: Json | None = None,
        **main: Any,
    ) -> "Log":
        known = self._last.get(("HTTPRoute", MODEL), {}).get("spec", {})
        backends = [{"name": f"{MODEL}-{k}", "weight": v} for k, v in (shares or {}).items()]
        everybodys = {"backendRefs": backends, **main}
        spec = {"parentRefs": [{"name": "public"}], "rules": [*rules, everybodys]}
        accepted = {
            "type": "Accepted", "status": "True", "observedGeneration": self._accepted
        }  # fmt: skip
        status = {"parents": [{"conditions": [accepted]}]}
        body = {"spec": spec if shares is not None else known, "status": status}
        found = {"generation": self._generation, **(about or {})}
        return self._write("HTTPRoute", MODEL, body, None, **found)

    def _write(
        self, kind: str, name: str, body: dict[str, Any], revision: str | None,
        labels: dict[str, str] | None = None, **metadata: Any,
    ) -> "Log":  # fmt: skip
        found = {MODEL_LABEL: MODEL, **({REVISION_LABEL: revision} if revision else {})}
        about = {"labels": {**found, **(labels or {})}, "uid": f"{kind}/{name}", **metadata}
        return self._append("MODIFIED", kind, {**body, "metadata": {"name": name, **about}})

    def _delete(self, kind: str, name: str) -> "Log":
        return self._append("DELETED", kind, self._last[kind, name])

    def _append(self, type_: str, kind: str, body: dict[str, Any]) -> "Log":
        version = str(len(self.changes) + 1)
        about = {"namespace": "e2e", **body["metadata"], "resourceVersion": version}
        found = {**body, "metadata": about}
        self._last[kind, about["name"]] = found
        self.changes.append(Change(self.now, type_, kind, found))
        return self


def serving() -> Log:
    """v1 serves with two pods, and its route was programmed long ago."""
    return Log().model().revision("v1").route(v1=100).accept().wait(60)


def canary() -> Log:
    """v2 has just been given 20 percent, with one pod of its own, by the person's edit."""
    return serving().model(generation=2).revision("v2", pods=1).route(v1=80, v2=20)


def promoted() -> Log:
    """v2 has all the traffic; v1 is still there."""
    return canary().accept().wait(9).scale("v2", 2).ready("v2", 2).route(v1=0, v2=100)


def rolled_back() -> Log:
    """v2 had its traffic taken away again, and then its pods."""
    return canary().accept().wait(9).route(v1=100, v2=0).accept().wait(9).scale("v2", 0)


def rescued(step: Json) -> Log:
    """v2 had 20 percent of a step, v1 died, and v2 got all with its one pod."""
    log = serving().stepped(step, generation=2).revision("v2", pods=1).route(v1=80, v2=20).accept()
    return log.wait(9).ready("v1", 0).wait(11).route(v1=0, v2=100).accept().wait(9)


def late(log: Log, seconds: float) -> Log:
    """The last change was seen so many seconds later than it was."""
    last = log.changes.pop()
    log.changes.append(noted(last, last.time, last.time + seconds))
    return log.wait(seconds)


def noted(change: Change, written: float, seen: float) -> Change:
    """A change that the apiserver noted when it was written, and that the witness saw later."""
    when = datetime.fromtimestamp(written, UTC).isoformat(timespec="seconds")
    manager = {"manager": "somebody", "time": when}
    metadata = {**change.metadata, "managedFields": [manager]}
    return replace(change, time=seen, object={**change.object, "metadata": metadata})
