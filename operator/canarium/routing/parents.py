"""What a route attaches to, and whose word counts about it.

A route's `status.parents` is written by many hands, and little is ever taken out of it: entries
about a listener that the route no longer names, of a controller that was replaced, or of one that
serves the same Service in another mesh. Only what our own reference's present controller says of
that very reference is an answer.
"""

from __future__ import annotations

from canarium.core.observed import (
    GatewayClassRecord,
    GatewayRecord,
    Observed,
    RouteParent,
    RouteRecord,
)
from canarium.core.spec import ParentRef

_CORE = ("", "core")
"Linkerd writes the group of Services by its nickname."


def describe_parent(ref: ParentRef) -> str:
    """Kind, namespace and name, as people read them."""
    return f"{ref.kind} {ref.namespace}/{ref.name}"


def find_gateway(ref: ParentRef, observed: Observed) -> GatewayRecord | None:
    """The Gateway that is meant, unless it is going away; None for other kinds of parents."""
    if ref.kind != "Gateway":
        return None
    return next(
        (
            gateway
            for gateway in observed.gateways
            if (gateway.meta.namespace, gateway.meta.name) == (ref.namespace, ref.name)
            and not gateway.meta.deleting
        ),
        None,
    )


def find_class(gateway: GatewayRecord, observed: Observed) -> GatewayClassRecord | None:
    """The class of a Gateway."""
    classes = observed.gateway_classes
    return next((found for found in classes if found.meta.name == gateway.class_name), None)


def find_answers(
    ref: ParentRef, route: RouteRecord, others: tuple[ParentRef, ...], observed: Observed
) -> list[RouteParent]:
    """The entries of `status.parents` that are about this reference, by whoever manages it now.

    An entry that names the listener or the port more or less exactly than we do counts where
    there is no better one: some controllers answer for each listener, and some leave the port
    out. But never one that answers another of the route's references (`others`).
    """
    controller = _find_controller(ref, observed)
    entries = [p for p in route.parents if controller in {"", p.controller}]
    exact = [entry for entry in entries if _is_exact(entry, ref)]
    if exact:
        return exact
    taken = [entry for entry in entries if any(_is_exact(entry, other) for other in others)]
    return [entry for entry in entries if entry not in taken and _is_close(entry, ref)]


def _find_controller(ref: ParentRef, observed: Observed) -> str:
    """Who manages the parent; "" where that is not known, as of a Service or a ListenerSet."""
    gateway = find_gateway(ref, observed)
    found = find_class(gateway, observed) if gateway else None
    return found.controller if found else ""


def _is_exact(entry: RouteParent, ref: ParentRef) -> bool:
    where = (entry.section_name or None, entry.port)
    return _is_of(entry, ref) and where == (ref.section_name or None, ref.port)


def _is_close(entry: RouteParent, ref: ParentRef) -> bool:
    pairs = ((entry.section_name, ref.section_name), (entry.port, ref.port))
    return _is_of(entry, ref) and all(not a or not b or a == b for a, b in pairs)


def _is_of(entry: RouteParent, ref: ParentRef) -> bool:
    group = "" if entry.group in _CORE else entry.group
    said = (group, entry.kind, entry.namespace, entry.name)
    return said == (ref.group, ref.kind, ref.namespace, ref.name)
