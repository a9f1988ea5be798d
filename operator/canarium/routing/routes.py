"""The kinds of objects that routers are told their routes by, with what is said of each once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from canarium.core.plan import RouteKind


@dataclass(frozen=True, slots=True)
class RouteType:
    """One kind of routes, as the apiserver serves it and as it is compared."""

    kind: RouteKind
    api_version: str
    plural: str
    deciding: Mapping[str, tuple[Any, ...]]
    """The fields that lead requests elsewhere when somebody adds them, with the values that the
    apiserver fills in (those say nothing)."""
    common: bool = False
    "Whether most clusters serve it; the other kinds are looked for more rarely."
    varies: bool = False
    "Whether its fields differ from one installed version to another, so its definition is read."
    simulated: bool = False
    "Whether the gateway of the simulated cluster speaks it."


ROUTE_TYPES: dict[RouteKind, RouteType] = {}
"Those of every router in `canarium.routing.ROUTERS`."
