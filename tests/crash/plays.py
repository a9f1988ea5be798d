"""The two stories that are disturbed: a version that takes over, and one that is taken back."""

from dataclasses import dataclass
from typing import Any

from testbed.scenario.manifests import PUBLIC, make_model
from tests.crash.gateway import CRASHES

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Play:
    """What v2 is like and where it ends; `hold` outlasts what is to happen in the step."""

    name: str
    hold: str
    crashes: bool
    phase: str

    def manifest(self, model: str, version: str) -> Json:
        """A model at v1 or v2, routed by weights on the Gateway."""
        annotations = {CRASHES: "yes"} if self.crashes and version == "v2" else {}
        found = make_model(
            {
                "model": {"version": version},
                "server": {"image": f"registry.example.com/iris:{version}"},
                "pod": {"annotations": annotations},
                "scaling": {"replicas": 2},
                "traffic": {
                    "router": "GatewayAPI",
                    "parentRefs": [PUBLIC],
                    "hostnames": [f"{model}.example.com"],
                },
                "rollout": {
                    "steps": [{"name": "fifth", "weight": 20, "hold": self.hold}],
                    "guard": {"duration": "1s"},
                },
            }
        )
        return {**found, "metadata": {"name": model}}


ROLLOUT = Play("rollout", hold="1s", crashes=False, phase="Healthy")
ROLLBACK = Play("rollback", hold="30s", crashes=True, phase="RolledBack")
