"""Builders for what the demo reads: rows of the witness's and the client's logs."""

from typing import Any

from testbed.load.traffic import Answer
from testbed.witness.changes import Change

NAMESPACE = "demo"
MODEL = "iris"
REVISIONS = {"v1": "0f336a1ab5", "v2": "7b9d6f5c88", "v3": "5e10345678"}


def make_change(time: float, kind: str, name: str, **parts: Any) -> Change:
    metadata = {"name": name, "namespace": NAMESPACE, "uid": f"{kind}-{name}"}
    metadata |= {"resourceVersion": str(round(time * 1000)), **parts.pop("metadata", {})}
    change = parts.pop("change", "MODIFIED")
    return Change(time, change, kind, {"metadata": metadata, **parts})


def make_route(time: float, **weights: int) -> Change:
    backends = [
        {"name": f"{MODEL}-{REVISIONS[version]}", "port": 80, "weight": weight}
        for version, weight in weights.items()
    ]
    return make_change(time, "HTTPRoute", MODEL, spec={"rules": [{"backendRefs": backends}]})


def make_deployment(time: float, version: str, *, ready: int, replicas: int) -> Change:
    name = f"{MODEL}-{REVISIONS[version]}"
    status = {"readyReplicas": ready} if ready else {}
    return make_change(time, "Deployment", name, spec={"replicas": replicas}, status=status)


def make_model(time: float, phase: str, **status: Any) -> Change:
    """A ModelDeployment; `stable`, `canary` and `previous` are versions, `ready` a condition."""
    roles: dict[str, Any] = {
        role: {"revision": REVISIONS[status[role]], "version": status.pop(role)}
        for role in ("stable", "canary", "previous")
        if role in status
    }
    conditions = status.pop("conditions", {"Ready": "True"})
    told = [{"type": kind, "status": truth} for kind, truth in conditions.items()]
    metadata = {"generation": status.pop("generation", 1)}
    whole: dict[str, Any] = {
        "observedGeneration": 1,
        "phase": phase,
        "conditions": told,
        **roles,
        **status,
    }
    return make_change(time, "ModelDeployment", MODEL, metadata=metadata, status=whole)


def make_event(time: float, reason: str, note: str, **parts: Any) -> Change:
    regarding = {"kind": "ModelDeployment", "name": MODEL, **parts.pop("regarding", {})}
    name = parts.pop("name", f"{MODEL}.{reason}")
    body: dict[str, Any] = {
        "type": "Normal",
        "reason": reason,
        "note": note,
        "regarding": regarding,
    }
    return make_change(time, "Event", name, **{**body, **parts})


def make_answer(start: float, version: str = "", **fields: Any) -> Answer:
    """A good answer of a version after 20 ms; without a version a 500."""
    told = {"status": 200 if version else 500, "latency": 0.020, **fields}
    return Answer(number=0, planned=start, start=start, version=version, **told)


def make_traffic(begin: float, end: float, version: str, rate: float) -> list[Answer]:
    """Good answers of one version, evenly spread."""
    count = round((end - begin) * rate)
    return [make_answer(begin + number / rate, version) for number in range(count)]
