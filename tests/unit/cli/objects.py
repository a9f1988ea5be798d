"""Objects as the apiserver has them, in the shapes that were recorded from a real one."""

from __future__ import annotations

from typing import Any

from canarium.core.status import format_time, parse_time

Json = dict[str, Any]

NOW = parse_time("2026-11-21T12:00:00Z")
V6, V7, V8 = "5d8f7c9b64", "7b9d6f5c88", "9f66b19ced"
STEPS: list[Json] = [
    {"name": "five", "weight": 5, "hold": "5m"},
    {"name": "half", "weight": 50, "hold": "10m", "approval": "Manual"},
]
TERMS: Json = {"steps": STEPS, "guard": {"duration": "15m"}}


def ago(seconds: float) -> str:
    """A time before NOW, as the apiserver writes it."""
    return format_time(NOW - seconds)


def make_condition(kind: str, status: str, reason: str = "", message: str = "") -> Json:
    return {"type": kind, "status": status, "reason": reason, "message": message}


def make_part(revision: str, version: str, replicas: int, weight: int, **fields: Any) -> Json:
    """A revision's place in status; all its pods are ready unless `readyReplicas` says less."""
    return {
        "revision": revision,
        "version": version,
        "image": f"registry.example.com/fraud:{version}",
        "replicas": replicas,
        "readyReplicas": replicas,
        "weight": weight,
        **fields,
    }


def make_model(
    phase: str,
    state: str,
    message: str,
    *,
    reason: str = "",
    conditions: dict[str, str] | None = None,
    metadata: Json | None = None,
    spec: Json | None = None,
    rollout: Json | None = None,
    **status: Any,
) -> Json:
    """A ModelDeployment `fraud`: Ready, not UpToDate and not Stalled unless `conditions` say so.

    A condition is written as `status`, or `status:reason:message`.
    """
    held = {"Ready": "True", "UpToDate": "False", "Stalled": "False", **(conditions or {})}
    about = {"name": "fraud", "namespace": "risk", "generation": 4, "resourceVersion": "1200"}
    server = {"image": "registry.example.com/fraud:v7"}
    return {
        "apiVersion": "canarium.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {**about, "creationTimestamp": "2026-11-18T12:00:00Z", **(metadata or {})},
        "spec": spec or {"model": {"version": "v7"}, "server": server, "rollout": TERMS},
        "status": {
            "observedGeneration": 4,
            "phase": phase,
            "reason": reason or state,
            "message": message,
            "conditions": [make_condition(kind, *said.split(":")) for kind, said in held.items()],
            "url": "http://fraud.example.com",
            "router": "GatewayAPI",
            "rollout": {"state": state, "step": 0, "heldSeconds": 0, **(rollout or {})},
            **status,
        },
    }


def make_record(revision: str, version: str, *, seconds_ago: float = 300, **status: Any) -> Json:
    """A ModelRevision that was made some time ago."""
    source = {
        "model": {"version": version},
        "server": {"image": f"registry.example.com/fraud:{version}"},
    }
    return {
        "apiVersion": "canarium.dev/v1alpha1",
        "kind": "ModelRevision",
        "metadata": {
            "name": f"fraud-{revision}",
            "namespace": "risk",
            "creationTimestamp": ago(seconds_ago),
            "labels": {"canarium.dev/model": "fraud", "canarium.dev/revision": revision},
        },
        "spec": {"modelDeployment": "fraud", "source": source, "rollout": TERMS},
        "status": status,
    }


def make_pod(revision: str, suffix: str, *, seconds_ago: float = 120, **fields: Any) -> Json:
    """A pod: ready, unless `waiting` or `unschedulable` says why it isn't."""
    waiting, unschedulable = fields.pop("waiting", ""), fields.pop("unschedulable", False)
    ready = not waiting and not unschedulable
    state: Json = {"waiting": {"reason": waiting}} if waiting else {"running": {}}
    container = {"name": "server", "restartCount": fields.pop("restarts", 0), "state": state}
    conditions = [make_condition("Ready", str(ready))]
    if unschedulable:
        conditions.append(make_condition("PodScheduled", "False", "Unschedulable"))
    return {
        "metadata": {
            "name": f"fraud-{revision}-6d4f9-{suffix}",
            "namespace": "risk",
            "creationTimestamp": ago(seconds_ago),
            "labels": {"canarium.dev/model": "fraud", "canarium.dev/revision": revision},
            **fields,
        },
        "status": {
            "phase": "Pending" if unschedulable else "Running",
            "conditions": conditions,
            "containerStatuses": [] if unschedulable else [container],
        },
    }


PASSING: list[Json] = [
    {
        "metric": "error-rate",
        "check": "max",
        "verdict": "Pass",
        "reason": "WithinBounds",
        "message": "canary: 1 of 200 failed (0.5%); allowed: 5%",
        "canaryBad": 1,
        "canaryTotal": 200,
        "stableBad": 0,
        "stableTotal": 0,
        "bound": "0.05",
        "intervalLow": "5.001e-06",
        "intervalHigh": "0.04469",
        "eValue": "0.31",
        "failsAt": "300",
    },
    {
        "metric": "error-rate",
        "check": "vsStable",
        "verdict": "Inconclusive",
        "reason": "TooFewRequests",
        "message": "41 of at least 100 answers of the canary counted",
        "canaryBad": 1,
        "canaryTotal": 200,
        "stableBad": 2,
        "stableTotal": 3800,
        "bound": "0.005",
        "intervalLow": "-0.00366",
        "intervalHigh": "0.04839",
        "eValue": "0.9",
        "failsAt": "300",
    },
    {
        "metric": "latency-p99",
        "check": "vsStable",
        "verdict": "Pass",
        "reason": "WithinBounds",
        "canaryBad": 3,
        "canaryTotal": 200,
        "stableBad": 40,
        "stableTotal": 3800,
        "bound": "1.2",
        "threshold": "50ms",
        "intervalLow": "-0.01795",
        "intervalHigh": "0.0641",
        "eValue": "1.1",
        "failsAt": "300",
    },
]
FAILED: Json = {
    **PASSING[0],
    "canaryBad": 9,
    "canaryTotal": 30,
    "intervalLow": "0.09533",
    "intervalHigh": "0.584",
    "eValue": "4.53e+04",
    "failsAt": "200",
    "verdict": "Fail",
    "reason": "ErrorRateTooHigh",
    "message": "canary: 9 of 30 failed (30%); allowed: 5%; its rate is 9.53% to 58.4%;"
    " evidence against it 4.53e+04, fails at 200",
}

PODS = [
    *(make_pod(V6, f"aaaa{n}", seconds_ago=3 * 86400) for n in range(6)),
    make_pod(V7, "bbbb1", seconds_ago=190),
]
RECORDS = [
    make_record(
        V6,
        "v6",
        seconds_ago=3 * 86400,
        outcome="Stable",
        stableAt=ago(3 * 86400 - 900),
        endedAt=ago(3 * 86400 - 900),
    ),
    make_record(V7, "v7"),
]
STABLE = make_part(V6, "v6", 6, 95)
CANARY = make_part(V7, "v7", 1, 5, analysis=PASSING)

HOLDING = make_model(
    "Progressing",
    "Holding",
    "step 1 of 3 (five) at 5 % for 5 min",
    rollout={"step": 1, "stepName": "five", "verifiedAt": ago(41), "heldSeconds": 100},
    stable=STABLE,
    canary=CANARY,
)
SCALING = make_model(
    "Progressing",
    "Scaling",
    "step 1 of 3 (five) at 5 %: waits for 1 ready canary pods",
    rollout={"step": 1, "stepName": "five"},
    stable={**STABLE, "weight": 100},
    canary=make_part(V7, "v7", 1, 0, readyReplicas=0),
)
AWAITING = make_model(
    "Paused",
    "Holding",
    "step 2 of 3 (half) at 50 %: waits for a person to promote it",
    reason="AwaitingApproval",
    rollout={"step": 2, "stepName": "half", "verifiedAt": ago(700)},
    stable={**STABLE, "weight": 50},
    canary=make_part(V7, "v7", 3, 50),
)
GUARDING = make_model(
    "Guarding",
    "Guarding",
    "version v7 serves all; the previous revision stays warm for 15 min",
    conditions={"UpToDate": "True"},
    rollout={"verifiedAt": ago(130)},
    stable=make_part(V7, "v7", 6, 100),
    previous={**STABLE, "weight": 0},
)
HEALTHY = make_model(
    "Healthy",
    "Idle",
    "version v7 serves all",
    reason="Serving",
    conditions={"UpToDate": "True"},
    stable=make_part(V7, "v7", 6, 100),
)
REVERTING = make_model(
    "Progressing",
    "Reverting",
    "going back: canary: 9 of 30 failed (30%); allowed: 5%",
    reason="ErrorRateTooHigh",
    rollout={"step": 1, "stepName": "five", "ending": "Rejected"},
    stable=STABLE,
    canary={**CANARY, "analysis": [FAILED]},
    rejected=[{"revision": V7, "version": "v7", "reason": "ErrorRateTooHigh", "at": ago(2)}],
)
ROLLED_BACK = make_model(
    "RolledBack",
    "Rejected",
    FAILED["message"],
    reason="ErrorRateTooHigh",
    conditions={"Stalled": "True"},
    stable=make_part(V6, "v6", 6, 100),
    rejected=[
        {
            "revision": V7,
            "version": "v7",
            "reason": "ErrorRateTooHigh",
            "message": FAILED["message"],
            "at": ago(3700),
        }
    ],
)
OVERRIDDEN = make_model(
    "RolledBack",
    "Idle",
    "version v6 serves because a person went back to it",
    reason="Overridden",
    conditions={"Stalled": "True"},
    stable=make_part(V6, "v6", 2, 100, restartedAt=ago(75)),
    override={"revision": V6, "instead": V7, "at": ago(200)},
)
BROKEN = make_model(
    "Failed",
    "Broken",
    "image registry.example.com/fraud:v7 cannot be pulled",
    reason="ImagePullBackOff",
    conditions={"Ready": "False:NotRouted:no revision gets traffic yet", "Stalled": "True"},
    stable=make_part(V7, "v7", 2, 0, readyReplicas=0),
)
UNSEEN: Json = {
    key: value
    for key, value in make_model("", "", "", metadata={"generation": 1}).items()
    if key != "status"
}
