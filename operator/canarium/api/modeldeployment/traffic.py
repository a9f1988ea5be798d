"""How requests reach the model: through gateways, or a Service in the cluster alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from canarium.api.rules import Model, Rule, matching
from canarium.api.scalars import (
    LABEL_PATTERN,
    SUBDOMAIN_PATTERN,
    DnsLabel,
    Duration,
    PortNumber,
    Subdomain,
)
from canarium.routing import ROUTERS
from canarium.routing.base import TrafficRule

if TYPE_CHECKING:
    from canarium.core.spec import RouterName
else:
    RouterName = Literal["Auto", *ROUTERS]

Hostname = Annotated[
    str,
    Field(max_length=253),
    matching(
        rf"(\*\.)?{SUBDOMAIN_PATTERN}",
        "write a host name such as fraud.example.com or *.example.com",
    ),
]


class ParentRef(Model):
    """What the route attaches to, as in Gateway API: usually a Gateway."""

    rules: ClassVar = (
        Rule(
            cel="(has(self.kind) && self.kind == 'Service')"
            " == (has(self.group) && self.group == '')",
            message='write group: "" for a Service, and leave group out for a Gateway or a'
            " ListenerSet",
            holds=lambda ref: (ref.kind == "Service") == (ref.group == ""),
            at="group",
        ),
    )

    group: (
        Annotated[
            str,
            Field(max_length=253),
            matching(
                r"(gateway\.networking\.k8s\.io)?",
                'write gateway.networking.k8s.io, or "" for a Service',
            ),
        ]
        | None
    ) = None
    """API group of the parent: gateway.networking.k8s.io when left out, "" for a Service."""
    kind: Literal["Gateway", "ListenerSet", "Service"] | None = None
    """Gateway (when left out), ListenerSet, or Service: callers within a mesh who use that
    Service's name. A mesh takes no notice of hostnames."""
    name: Subdomain
    "Name of the Gateway, ListenerSet or Service."
    namespace: DnsLabel | None = None
    "Its namespace; the object's own when left out."
    section_name: (
        Annotated[
            str,
            Field(max_length=253),
            matching(rf"{LABEL_PATTERN}(\.{LABEL_PATTERN})*", "write the listener's name"),
        ]
        | None
    ) = None
    "The listener (or the Service's port) to attach to; all that allow it when left out."
    port: PortNumber | None = None
    "The listeners' (or the Service's) port; every port when left out."


class PathMatch(Model):
    """A path that is answered."""

    type: Literal["PathPrefix", "Exact"] | None = None
    "PathPrefix (when left out) or Exact."
    value: Annotated[
        str,
        Field(max_length=1024),
        matching(
            r"/([A-Za-z0-9\-._~!$&'()*+,;=:@/]|%[0-9a-fA-F]{2})*",
            "write a path that begins with / and holds no spaces, ? or #",
        ),
        Rule(
            cel="!self.contains('//') && !self.contains('/./') && !self.contains('/../')"
            " && !self.endsWith('/.') && !self.endsWith('/..')",
            message="write the path without //, /./ and /../",
            holds=lambda path: (
                not any(part in f"{path}/" for part in ("/./", "/../")) and "//" not in path
            ),
        ),
    ]
    "The path, beginning with /."


class Timeouts(Model):
    """How long the gateway waits."""

    request: Duration | None = None
    "For the whole answer to a request; 0s is for ever."


def _no_two_alike(traffic: Traffic) -> bool:
    refs = [ref.model_dump_json() for ref in traffic.parent_refs or ()]
    return len(set(refs)) == len(refs)


def _of_routers() -> Iterator[Rule]:
    """What each router asks of a spec that names it; last those that `Auto` may take instead."""
    for router in sorted(ROUTERS.values(), key=lambda router: bool(router.stands_in)):
        for rule in router.rules:
            yield _where_named(router.name, rule)


def _where_named(router: str, rule: TrafficRule) -> Rule:
    return Rule(
        cel=f"!has(self.router) || self.router != '{router}' || {rule.cel}",
        message=rule.message,
        holds=lambda traffic: traffic.router != router or rule.holds(traffic),
        at=rule.at,
        locate=rule.locate,
    )


_ABLE = " or ".join(router.name for router in ROUTERS.values() if router.stands_in)
_ROUTERS = f"""What shifts the weight.
{" ".join(f"{router.name}: {router.summary}." for router in ROUTERS.values())}
Auto (when left out): GatewayAPI with parentRefs; with hostnames or paths alone {_ABLE}, whichever
is installed; else Replicas."""


class Traffic(Model):
    """How requests reach the model. Left out: a Service of the object's name in the cluster."""

    rules: ClassVar = (
        *_of_routers(),
        Rule(
            cel="!has(self.timeouts) || has(self.router) && self.router != 'Auto'"
            " || has(self.parentRefs) || has(self.hostnames) || has(self.paths)",
            message="timeouts are a gateway's business: add parentRefs, or hostnames",
            holds=lambda traffic: (
                traffic.timeouts is None
                or traffic.router not in (None, "Auto")
                or any(
                    given is not None
                    for given in (traffic.parent_refs, traffic.hostnames, traffic.paths)
                )
            ),
            at="timeouts",
        ),
        Rule(
            cel="!has(self.parentRefs)"
            " || self.parentRefs.all(a, self.parentRefs.exists_one(b, a == b))",
            message="two parentRefs are the same: remove one",
            holds=_no_two_alike,
            at="parentRefs",
        ),
        Rule(
            cel="!has(self.protocol) || self.protocol != 'GRPC'"
            " || !(has(self.paths) || has(self.timeouts))",
            message="protocol GRPC is routed by host names and headers, and each call has a"
            " deadline of its own: remove paths and timeouts",
            holds=lambda traffic: (
                traffic.protocol != "GRPC" or (traffic.paths is None and traffic.timeouts is None)
            ),
            locate=lambda traffic: "timeouts" if traffic.paths is None else "paths",
        ),
    )

    router: Annotated[RouterName | None, Field(description=_ROUTERS)] = None
    protocol: Literal["HTTP", "GRPC"] | None = None
    """What callers speak; HTTP when left out. GRPC leads to server.grpcPort: by a GRPCRoute, and on
    port 9000 of the Service."""
    parent_refs: Annotated[list[ParentRef], Field(max_length=8)] | None = None
    """The Gateways, ListenerSets or Services that the route attaches to; Istio's own Gateways with
    router Istio."""
    hostnames: Annotated[list[Hostname], Field(max_length=16)] | None = None
    "Host names that the route answers; the gateway's own when left out."
    paths: Annotated[list[PathMatch], Field(max_length=16)] | None = None
    "Paths that the route answers; all when left out."
    timeouts: Timeouts | None = None
    "How long the gateway waits."
