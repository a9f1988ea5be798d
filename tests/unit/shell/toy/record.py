"""A Greeting as the apiserver serves it, and what is kept of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from canarium.core.observed import Meta
from canarium.kube.informers.projections.meta import project_meta
from canarium.kube.kinds import Resource

GREETINGS = Resource("Greeting", "example.dev/v1", "greetings")


@dataclass(frozen=True, slots=True)
class Greeting:
    """Who is to be greeted, and what was said of that."""

    meta: Meta
    to: str
    status: Mapping[str, Any]


def project_greeting(raw: bytes | msgspec.Raw) -> Greeting:
    """Keep of the apiserver's JSON what the plan asks for."""
    body = msgspec.json.decode(raw)
    return Greeting(project_meta(raw), body["spec"]["to"], body.get("status") or {})
