"""A Kubernetes Job that judges a canary by whether it succeeds, as people describe it.

Curated like every container here: what would give its pod power over a node has no field.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from canarium.api.modeldeployment.containers import (
    ContainerSecurity,
    EnvFromSource,
    EnvVar,
    Program,
    Resources,
    VolumeMount,
)
from canarium.api.rules import Rule, keyed
from canarium.api.scalars import Duration, Subdomain, Text, at_least
from canarium.core.names import GIVEN_PREFIX


class Job(Program):
    """A container that is run once in each step. It asks the canary; exit code 0 is a pass."""

    rules: ClassVar = (
        Rule(
            cel="!has(self.env) || self.env.all(variable,"
            f" !variable.name.startsWith('{GIVEN_PREFIX}'))",
            message=f"variables that begin with {GIVEN_PREFIX} are given: choose another name",
            holds=lambda job: not any(v.name.startswith(GIVEN_PREFIX) for v in job.env or ()),
            at="env",
        ),
    )

    args: Annotated[list[Text], Field(max_length=64)] | None = None
    "Arguments instead of the image's own."
    env: Annotated[list[EnvVar], Field(max_length=16), keyed("name")] | None = None
    """Environment variables, in order. Given already: CANARIUM_URL (where the canary answers),
    CANARIUM_NAMESPACE, CANARIUM_MODEL, CANARIUM_VERSION and CANARIUM_REVISION."""
    env_from: Annotated[list[EnvFromSource], Field(max_length=4)] | None = None
    "ConfigMaps and Secrets whose keys become variables."
    resources: Resources | None = None
    "Requests and limits."
    volume_mounts: Annotated[list[VolumeMount], Field(max_length=4), keyed("mountPath")] | None = (
        None
    )
    """Volumes of spec.pod.volumes in its file system. It may run on another node than the model's
    pods, so a disk that only one node can have would keep it waiting."""
    security_context: ContainerSecurity | None = None
    "As whom it runs."
    service_account_name: Subdomain | None = None
    "Its service account; default when left out. Its token is never mounted."
    timeout: Annotated[Duration, at_least(1)] | None = None
    "How long it may take until it counts as failed; 10m when left out."
