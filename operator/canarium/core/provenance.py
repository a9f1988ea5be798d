"""Where a revision came from: who wrote the spec last, why, and out of which sync or release.

It is what the object itself says: the apiserver's own record of who wrote which field
(metadata.managedFields), and the marks that sync tools and people leave on it. A mark is kept only
where it can mean one thing: `app.kubernetes.io/version` is no Git revision, and
`app.kubernetes.io/instance` may be Helm's, Argo CD's or a person's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from canarium.core.names import PREFIX
from canarium.core.status import read_time
from canarium.core.text import sanitize_text

CHANGE_CAUSE = "kubernetes.io/change-cause"
GIT_REVISION = PREFIX + "git-revision"
COMMIT_TIME = PREFIX + "commit-time"
ARGO_TRACKING = "argocd.argoproj.io/tracking-id"
HELM_RELEASE = "meta.helm.sh/release-"
FLUX_KUSTOMIZATION = "kustomize.toolkit.fluxcd.io/"
FLUX_HELM_RELEASE = "helm.toolkit.fluxcd.io/"

_TRACKING = re.compile(
    r"^(?:(?P<namespace>[^_:]+)_)?(?P<name>[^_:]+):canarium\.dev/ModelDeployment:(?P<object>.+)$"
)


@dataclass(frozen=True, slots=True)
class FieldOwner:
    """One entry of metadata.managedFields that owns a part of what makes a revision."""

    manager: str
    operation: str
    at: float = 0.0
    "Seconds since the epoch, whole seconds: the apiserver keeps no finer time."


@dataclass(frozen=True, slots=True)
class Source:
    """What the object says that it belongs to: a sync or a release, in its own tool's words."""

    kind: str
    "Application (Argo CD), Kustomization or HelmRelease (Flux), Release (Helm)."
    name: str
    namespace: str = ""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the spec of one generation came from; what isn't known is empty."""

    generation: int = 0
    manager: str = ""
    operation: str = ""
    written_at: float | None = None
    change_cause: str = ""
    git_revision: str = ""
    committed_at: float | None = None
    source: Source | None = None


def make_origin(
    generation: int,
    writers: Iterable[FieldOwner],
    labels: Mapping[str, str],
    annotations: Mapping[str, str],
    identity: str,
) -> Origin:
    """What an object says of its present spec; `identity` is its `<namespace>/<name>`.

    The writer is the latest one. Of two in the same second it is the later in managedFields,
    which the apiserver sorts by time; it may then be the other.
    """
    last = max(enumerate(writers), key=lambda pair: (pair[1].at, pair[0]), default=None)
    writer = FieldOwner("", "") if last is None else last[1]
    return Origin(
        generation=generation,
        manager=writer.manager,
        operation=writer.operation,
        written_at=writer.at or None,
        change_cause=sanitize_text(annotations.get(CHANGE_CAUSE, "")),
        git_revision=sanitize_text(annotations.get(GIT_REVISION, "")),
        committed_at=read_time(annotations.get(COMMIT_TIME, "")),
        source=find_source(labels, annotations, identity),
    )


def find_source(
    labels: Mapping[str, str], annotations: Mapping[str, str], identity: str
) -> Source | None:
    """The sync or release that an object belongs to; the outermost, where several left marks.

    A Helm chart may be rendered by Flux, and a Kustomization may hold anything.
    """
    return (
        _find_application(annotations.get(ARGO_TRACKING, ""), identity)
        or _find_named("Kustomization", labels, FLUX_KUSTOMIZATION)
        or _find_named("HelmRelease", labels, FLUX_HELM_RELEASE)
        or _find_named("Release", annotations, HELM_RELEASE)
    )


def _find_application(tracking: str, identity: str) -> Source | None:
    """Argo CD's tracking id; that of a copied object names the one that it was copied from."""
    found = _TRACKING.match(tracking)
    if found is None or found["object"] != identity:
        return None
    return Source("Application", found["name"], found["namespace"] or "")


def _find_named(kind: str, marks: Mapping[str, str], prefix: str) -> Source | None:
    name = marks.get(prefix + "name", "")
    return Source(kind, name, marks.get(prefix + "namespace", "")) if name else None
