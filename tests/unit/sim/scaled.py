"""What the tests of simulated autoscalers put into a cluster by hand: nothing is rolled out."""

from __future__ import annotations

from typing import Any

from canarium.sim.simulation import Simulation

Json = dict[str, Any]
MODEL, REVISION = ("risk", "fraud"), "5d8f7c9b64"
KEY = ("risk", f"fraud-{REVISION}")
LABELS = {"canarium.dev/model": "fraud", "canarium.dev/revision": REVISION}
TARGET: Json = {"apiVersion": "apps/v1", "kind": "Deployment", "name": KEY[1]}


def make_percent(percent: int = 50, name: str = "cpu") -> Json:
    """A metric: percent of what the server's container requests; a request a second costs 5."""
    target = {"type": "Utilization", "averageUtilization": percent}
    resource = {"name": name, "container": "server", "target": target}
    return {"type": "ContainerResource", "containerResource": resource}


def make_quantity(quantity: str, name: str = "cpu") -> Json:
    target = {"type": "AverageValue", "averageValue": quantity}
    return {"type": "Resource", "resource": {"name": name, "target": target}}


def make_trigger(threshold: int = 10) -> Json:
    about = {"serverAddress": "http://prometheus:9090", "query": "q", "threshold": str(threshold)}
    return {"type": "prometheus", "metricType": "AverageValue", "metadata": about}


def deploy(sim: Simulation, replicas: int, rate: float = 0.0) -> None:
    """A model with one revision that all of its requests are meant for."""
    about = {"name": MODEL[1], "namespace": MODEL[0]}
    sim.server.create("ModelDeployment", MODEL[0], {"metadata": about, "spec": {}}, "kubectl")
    container = {"name": "server", "image": "registry.example/fraud:1"}
    template = {"metadata": {"labels": LABELS}, "spec": {"containers": [container]}}
    spec = {"replicas": replicas, "selector": LABELS, "template": template}
    body = {"metadata": {"name": KEY[1], "labels": LABELS}, "spec": spec}
    sim.server.create("Deployment", KEY[0], body, "kubectl")
    service = {"metadata": {"name": MODEL[1], "labels": LABELS}, "spec": {"selector": LABELS}}
    sim.server.create("Service", MODEL[0], service, "kubectl")
    sim.load.offer(MODEL, rate)


def autoscale(sim: Simulation, *metrics: Json, name: str = KEY[1], **spec: Any) -> None:
    """An autoscaler for it, from 1 to 10 pods."""
    bounds = {"minReplicas": 1, "maxReplicas": 10}
    wanted = {"scaleTargetRef": TARGET, **bounds, "metrics": list(metrics), **spec}
    body = {"metadata": {"name": name}, "spec": wanted}
    sim.server.apply("HorizontalPodAutoscaler", (KEY[0], name), body, "kubectl", force=True)


def scale_by_load(sim: Simulation, *triggers: Json, **spec: Any) -> None:
    """A ScaledObject for it, from 0 to 10 pods, that is looked at every 5 s."""
    bounds = {"minReplicaCount": 0, "maxReplicaCount": 10, "pollingInterval": 5}
    wanted = {"scaleTargetRef": {"name": KEY[1]}, **bounds, "triggers": list(triggers), **spec}
    body = {"metadata": {"name": KEY[1], "labels": LABELS}, "spec": wanted}
    sim.server.apply("ScaledObject", KEY, body, "kubectl", force=True)


def replicas(sim: Simulation) -> int:
    return int(sim.server.get("Deployment", KEY).body["spec"]["replicas"])


def condition(sim: Simulation, kind: str, name: str = KEY[1]) -> tuple[str, str, str]:
    """The first condition of an autoscaler: its type, status and reason."""
    found = sim.server.get(kind, (KEY[0], name)).body["status"]["conditions"][0]
    return found["type"], found["status"], found["reason"]
