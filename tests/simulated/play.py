"""A simulation with an observer, and one model in it: what tests say and ask."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from canarium.rollout.plan import plan
from canarium.shell.tenants.models import Planner
from canarium.sim.apiserver import Change
from canarium.sim.controllers.gateway import main_rule, read_rules
from canarium.sim.simulation import Simulation

from testbed.witness.changes import revision_of
from tests.simulated.observer import Observer

Json = dict[str, Any]
KEY = ("risk", "fraud")
PUBLIC = {"name": "public", "namespace": "gateways"}
ERROR_RATE: Json = {"name": "error-rate", "max": "5%"}
CLICKS: Json = {"name": "clicks", "prometheus": {"good": "clicks_total", "total": "shown_total"}}
"By which an experiment goes."
SMOKE: Json = {"name": "smoke", "job": {"image": "registry.example/smoke:1", "timeout": "1m"}}
STEPS: tuple[tuple[int, str], ...] = ((20, "10s"), (50, "10s"))


def make_manifest(
    version: str = "1",
    *,
    name: str = "fraud",
    replicas: int = 3,
    steps: tuple[tuple[int, str], ...] = STEPS,
    guard: str | Json = "15s",
    judged: bool = True,
    gateway: bool = True,
    **rollout: Any,
) -> Json:
    """A ModelDeployment as a person writes it; steps are (weight, hold)."""
    listed = [{"name": f"w{weight}", "weight": weight, "hold": hold} for weight, hold in steps]
    stages = {} if "strategy" in rollout else {"steps": listed}
    metrics = [ERROR_RATE, CLICKS] if "experiment" in rollout else [ERROR_RATE]
    analysis = {"analysis": {"minRequests": 20, "metrics": metrics}} if judged else {}
    traffic = {"router": "GatewayAPI", "parentRefs": [PUBLIC], "hostnames": [f"{name}.example.com"]}
    return {
        "apiVersion": "canarium.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": name, "namespace": "risk"},
        "spec": {
            "model": {"version": version},
            "server": {
                "image": f"registry.example/{name}:{version}",
                "metrics": {"port": 8082, "path": "/metrics", "profile": "MLServer"},
            },
            "scaling": {"replicas": replicas},
            **({"traffic": traffic} if gateway else {}),
            "rollout": {
                **stages,
                **analysis,
                "guard": guard if isinstance(guard, dict) else {"duration": guard},
                "progressDeadline": "1m",
                **rollout,
            },
        },
    }


class Play(Simulation):
    """The simulation as the tests of one model use it; `options` go into each manifest."""

    observed_by: type[Observer] = Observer
    "Who asserts what must always hold."

    def __init__(
        self,
        *,
        planner: Planner = plan,
        seed: int = 0,
        judged: bool = False,
        remembered: int = 2000,
        **options: Any,
    ) -> None:
        super().__init__(planner=planner, seed=seed, judged=judged, remembered=remembered)
        self.options = options
        self.observer = self.observed_by(self)

    # What a person does

    def want(self, version: str, **options: Any) -> None:
        """Apply a version; options stay for the manifests that follow."""
        self.options |= options
        self.apply(make_manifest(version, **self.options))

    def ask(self, verb: str, version: str, unique: str = "1") -> None:
        """Give a command about a version."""
        self.command(KEY, verb, f"{self.revision(version)}@{unique}")

    # Time

    def until(self, state: str, version: str = "", most_seconds: float = 900.0) -> None:
        """Until the rollout is in a state, with this version as stable where one is given."""
        self.run_until(lambda: self.is_in(state, version), most_seconds)

    def until_weight(self, weight: int) -> None:
        """Until the canary is meant to have so much."""
        self.run_until(lambda: self.status(KEY).get("canary", {}).get("weight") == weight)

    def until_waiting(self) -> None:
        """Until it waits for a person."""
        self.run_until(lambda: self.phase == "Paused")

    def is_in(self, state: str, version: str = "") -> bool:
        return self.state(KEY) == state and version in ("", self.stable)

    def rest(self) -> None:
        """Let what is left to do be done, and see that nothing is done then."""
        self.run(120.0)
        count = self.network.writes
        for _ in range(3):
            self.resync()
            self.run(30.0)
        said = [str(write) for write in list(self.writes)[count - self.network.writes :]]
        assert self.network.writes == count, f"7: not quiet: {said}"

    # Questions

    @property
    def stable(self) -> str:
        return str(self.status(KEY).get("stable", {}).get("version", ""))

    @property
    def canary(self) -> str:
        return str(self.status(KEY).get("canary", {}).get("version", ""))

    @property
    def reason(self) -> str:
        return str(self.status(KEY).get("reason", ""))

    @property
    def phase(self) -> str:
        return str(self.status(KEY).get("phase", ""))

    @property
    def weights(self) -> dict[str, int]:
        """The weights of the live route, for ordinary requests, by version."""
        route = self.server.find("HTTPRoute", KEY)
        weights = main_rule(read_rules(route["spec"])).weights if route else {}
        names = {f"fraud-{self.revision(v)}": v for v in self.versions()}
        return {names[name]: weight for name, weight in weights.items()}

    @property
    def shares(self) -> dict[str, float]:
        """Where people's requests really go now, by version."""
        names = {self.revision(version): version for version in self.versions()}
        return {names.get(r, r): round(share, 3) for r, share in self.traffic.split(KEY).items()}

    def versions(self) -> list[str]:
        """Every version that has a ModelRevision."""
        found = self.server.all_of("ModelRevision")
        return [revision["spec"]["source"]["model"]["version"] for revision in found]

    def revision(self, version: str) -> str:
        """The revision of a version; a word that fits no revision when there is none."""
        for record in self.server.all_of("ModelRevision"):
            if record["spec"]["source"]["model"]["version"] == version:
                return revision_of(record)
        return "none"

    def outcome(self, version: str) -> str:
        record = self.server.find("ModelRevision", ("risk", f"fraud-{self.revision(version)}"))
        return str((record or {}).get("status", {}).get("outcome", ""))

    def replicas(self, version: str) -> int:
        found = self.server.find("Deployment", ("risk", f"fraud-{self.revision(version)}"))
        return int(found["spec"]["replicas"]) if found else 0

    def condition(self, kind: str) -> tuple[str, str]:
        """A condition's status and reason."""
        found = self.status(KEY)["conditions"]
        return next((c["status"], c["reason"]) for c in found if c["type"] == kind)

    def story(self) -> list[str]:
        """The reasons of all events."""
        return [event.reason for _, event in self.events]

    def end(self) -> Json:
        """What is there at the end, without what differs from run to run: times, counters."""
        status = self.status(KEY)
        return {
            "state": self.state(KEY),
            "phase": self.phase,
            "stable": self.stable,
            "canary": self.canary,
            "weights": self.weights,
            "shares": self.shares,
            "replicas": {version: self.replicas(version) for version in sorted(self.versions())},
            "outcomes": {version: self.outcome(version) for version in sorted(self.versions())},
            "rejected": [rejection["version"] for rejection in status.get("rejected", [])],
            "conditions": {c["type"]: c["status"] for c in status.get("conditions", [])},
            "objects": sorted(
                f"{kind} {body['metadata']['name']}"
                for kind in ("Deployment", "Service", "HTTPRoute", "ModelRevision")
                for body in self.server.all_of(kind)
            ),
        }


@contextmanager
def serving(version: str = "1", **options: Any) -> Iterator[Play]:
    """A play in which a first version serves and everything is at rest."""
    with Play(**options) as play:
        play.want(version)
        play.until("Idle")
        play.run(5.0)
        yield play


def log_changes(play: Play) -> list[Change]:
    """Every change from now on; the list grows as time passes."""
    found: list[Change] = []
    play.observe(found.append)
    return found
