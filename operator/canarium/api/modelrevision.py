"""The ModelRevision: one immutable combination of model, server and pod, and how it went.

Canarium writes it; people read it, and roll back to it.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from canarium.api.modeldeployment.rollout import CopiedTerms
from canarium.api.modeldeployment.status import AnalysisRow, Time, Unknown
from canarium.api.rules import Model, Rule


class Source(Model):
    """What the revision was made from, as it was written in the ModelDeployment.

    It is kept whole, whatever fields a schema has: it says which spec means this revision.
    """

    model: Unknown | None = None
    "spec.model of the ModelDeployment."
    server: Unknown
    "spec.server of the ModelDeployment."
    pod: Unknown | None = None
    "spec.pod of the ModelDeployment."


class OriginSource(Model):
    """The sync or release that the ModelDeployment said it belongs to."""

    kind: Literal["Application", "Kustomization", "HelmRelease", "Release"]
    "An Argo CD Application, a Flux Kustomization or HelmRelease, or a Helm release."
    name: str
    "Its name."
    namespace: str | None = None
    "Its namespace, where the mark says so."


class Origin(Model):
    """Where the revision came from, as the ModelDeployment said when the revision was made.

    Nothing here has a length limit: for want of an origin no rollout is to fail.
    """

    generation: int | None = None
    "metadata.generation of the ModelDeployment when the revision was made."
    manager: str | None = None
    "The field manager that wrote last among those that own a part of model, server or pod."
    operation: str | None = None
    "How it wrote: Apply (server-side apply) or Update (anything else)."
    written_at: Time | None = None
    "When it did, to the second."
    change_cause: str | None = None
    "The annotation kubernetes.io/change-cause, as it was then."
    git_revision: str | None = None
    "The annotation canarium.dev/git-revision, as it was then."
    committed_at: Time | None = None
    "The annotation canarium.dev/commit-time, as it was then: when the change was committed."
    source: OriginSource | None = None
    "The sync or release that it belongs to; whether that wrote it, manager says."


class RevisionSpec(Model):
    """What the revision is. It cannot be changed."""

    rules: ClassVar = (
        Rule(
            cel="self == oldSelf",
            message="a revision cannot be changed: change the ModelDeployment instead",
            holds=lambda _: True,
        ),
    )

    model_deployment: Annotated[str, Field(max_length=63)]
    "Name of the ModelDeployment."
    source: Source
    "What it was made from."
    rollout: CopiedTerms | None = None
    "Steps, analysis, deadline and guard as they were when it was made."
    template: Annotated[str, Field(max_length=524288)]
    "The pod template made from it, as one canonical JSON string."
    digest: Annotated[str, Field(max_length=64)]
    "SHA-256 of the template, in hexadecimal."
    origin: Origin | None = None
    "Where it came from; left out by versions of Canarium that didn't record it."


class RevisionStatus(Model):
    """How it went."""

    rollout: CopiedTerms | None = None
    "Steps, analysis, deadline and guard that hold instead of spec.rollout, once edited or retried."
    started_at: Time | None = None
    "When its rollout started."
    stable_at: Time | None = None
    "When it became stable."
    ended_at: Time | None = None
    "When its rollout ended."
    outcome: Literal["Stable", "Superseded", "RolledBack", "Canceled"] | None = None
    "How its rollout ended."
    reason: str | None = None
    "Why, in one CamelCase word."
    message: str | None = None
    "Why, in plain words."
    evidence: list[AnalysisRow] | None = None
    "What it was judged by at the end: one row for each check of each metric."
