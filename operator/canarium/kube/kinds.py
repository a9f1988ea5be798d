"""The table of kinds with those of the routers, and the URL path of each of their objects."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast
from urllib.parse import quote

from canarium.core.kinds import AROUND, KEPT, OF_A_MODEL, OTHER_SWITCHES, OURS, Row
from canarium.core.plan import RouteKind, ScalerKind
from canarium.core.spec import TemplateKind
from canarium.errors import ApiError
from canarium.routing import ROUTE_TYPES, ROUTERS


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind as the apiserver serves it, such as apps/v1 Deployments."""

    kind: str
    api_version: str
    plural: str
    only: str = ""
    'The one object of the kind that is listed and watched, by its name; "" for all.'

    @classmethod
    def of(cls, row: Row) -> Resource:
        """The kind of a row of the table."""
        return cls(row.kind, row.api_version, row.plural)

    @property
    def root(self) -> str:
        """The path below which the kind's API version lives; the core group is an exception."""
        return (
            f"/apis/{self.api_version}" if "/" in self.api_version else f"/api/{self.api_version}"
        )

    def path(
        self, namespace: str | None = None, name: str | None = None, subresource: str | None = None
    ) -> str:
        """The path of a collection (no name) or of one object, whatever names hold.

        Raises `ApiError` (400, nothing was sent) for what Kubernetes has as no part of a path:
        nothing, dots alone, and all with a slash or a percent sign.
        """
        scope = ("namespaces", namespace) if namespace is not None else ()
        tail = (part for part in (name, subresource) if part is not None)
        segments = (_escape(part) for part in (*scope, self.plural, *tail))
        return "/".join((self.root, *segments))


def _escape(segment: str) -> str:
    # The apiserver decodes %2F before it takes a path apart, so escaping alone doesn't help.
    if segment in {"", ".", ".."} or "/" in segment or "%" in segment:
        raise ApiError(400, "BadRequest", f"{segment!r} cannot be part of an object's path")
    return quote(segment, safe="")


_ROUTES = tuple(
    Row(
        route.kind,
        route.api_version,
        route.plural,
        KEPT,
        selector=OURS,
        observed="routes",
        written="Applied",
        role="Route",
        feature=router.name,
        rare=not route.common,
        neighbours=router.attaches,
    )
    for router in ROUTERS.values()
    for route in router.routes
)
_READ_FOR = {kind: router.name for router in ROUTERS.values() for kind in router.reads}
_VARYING = {
    row.kind: f"{row.plural}.{row.group}" for row in _ROUTES if ROUTE_TYPES[row.kind].varies
}


def _add_readers(row: Row) -> Row:
    """What the routers say of a kind that isn't theirs: for whose sake it is read, and of what."""
    only = tuple(_VARYING.values()) if row.kind == "CustomResourceDefinition" else ()
    return replace(row, feature=_READ_FOR.get(row.kind, row.feature), only=only)


TABLE = (*OF_A_MODEL, *_ROUTES, *map(_add_readers, AROUND))
"Every kind; here those of the routers enter."
SWITCHES = {
    router.name: f"routers.{router.setting}" for router in ROUTERS.values() if router.routes
}
SWITCHES |= OTHER_SWITCHES
FEATURES = {name: frozenset(row.kind for row in TABLE if row.feature == name) for name in SWITCHES}
"What can be switched off, and the kinds that the operator then neither reads nor writes."
_RESOURCES = {row.kind: Resource.of(row) for row in TABLE}
MODEL_DEPLOYMENTS = _RESOURCES["ModelDeployment"]
MODEL_REVISIONS = _RESOURCES["ModelRevision"]
DEPLOYMENTS = _RESOURCES["Deployment"]
PODS = _RESOURCES["Pod"]
POD_METRICS = _RESOURCES["PodMetrics"]
SERVICES = _RESOURCES["Service"]
ENDPOINT_SLICES = _RESOURCES["EndpointSlice"]
GATEWAYS = _RESOURCES["Gateway"]
SECRETS = _RESOURCES["Secret"]
LEASES = _RESOURCES["Lease"]
EVENTS, CORE_EVENTS = (Resource.of(row) for row in TABLE if row.kind == "Event")
TOKEN_REVIEWS = _RESOURCES["TokenReview"]
SUBJECT_ACCESS_REVIEWS = _RESOURCES["SubjectAccessReview"]
QUESTIONS = (TOKEN_REVIEWS, SUBJECT_ACCESS_REVIEWS)
"Created, and never there: the answer is in what comes back."
VERSION = Resource("Info", "v1", "version")
"No object: what the apiserver says of itself at /version."
API = Resource("APIVersions", "v1", "api")
"No object, either: at /api."

ROUTES: dict[RouteKind, Resource] = {row.kind: Resource.of(row) for row in _ROUTES}
SCALERS = {cast("ScalerKind", row.kind): Resource.of(row) for row in AROUND if row.role == "Scaler"}
TEMPLATES = {
    cast("TemplateKind", row.kind): Resource.of(row) for row in AROUND if row.role == "Template"
}
DEFINITIONS: dict[RouteKind, Resource] = {
    kind: replace(_RESOURCES["CustomResourceDefinition"], only=name)
    for kind, name in _VARYING.items()
}
"Of the kinds of routes whose fields differ from one installed version to another."
