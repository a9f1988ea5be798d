"""The kinds whole, spec and status: what the schemas are generated from.

Parsing needs the specs alone, so nothing that runs all the time imports this.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from canarium.api.metrics import MetricTemplateSpec
from canarium.api.modeldeployment.spec import NAME_RULE, DeploymentSpec
from canarium.api.modeldeployment.status import DeploymentStatus, MetricTemplateStatus
from canarium.api.modelrevision import RevisionSpec, RevisionStatus
from canarium.api.rules import Model


class ModelDeployment(Model):
    """A model that is kept serving: new versions are rolled out in small measured steps, and a bad
    one is taken back by itself.
    """

    rules: ClassVar = (NAME_RULE,)

    spec: DeploymentSpec
    "What is wanted."
    status: Annotated[
        # Without it, whoever reads a new object before we do (kstatus, say) finds nothing amiss.
        DeploymentStatus | None, Field(json_schema_extra={"default": {"observedGeneration": -1}})
    ] = None
    "What is; observedGeneration is -1 until Canarium has seen the object."


class ModelRevision(Model):
    """One immutable combination of model, server and pod settings, and how its rollout went."""

    spec: RevisionSpec
    "What the revision is. It cannot be changed."
    status: RevisionStatus | None = None
    "How it went."


class MetricTemplate(Model):
    """A query that models of its namespace are judged by."""

    spec: MetricTemplateSpec
    "The query and its arguments."
    status: MetricTemplateStatus | None = None
    "Whether it works."


class ClusterMetricTemplate(Model):
    """A query that models of every namespace are judged by."""

    spec: MetricTemplateSpec
    "The query and its arguments."
    status: MetricTemplateStatus | None = None
    "Whether it works."
