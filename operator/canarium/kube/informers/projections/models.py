"""ModelDeployments: what people ask for, and the status that we wrote."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import msgspec

from canarium.api import parse_deployment, parse_traffic
from canarium.api.modeldeployment.defaults import NO_DEFAULTS, Defaults
from canarium.core.commands import VERBS
from canarium.core.names import PREFIX
from canarium.core.observed import Meta, ModelObject
from canarium.core.provenance import FieldOwner, Origin, make_origin
from canarium.core.spec import Spec, Traffic
from canarium.core.status import Status, parse, read_time
from canarium.errors import Problem, SpecError
from canarium.kube.boundary import Boundary
from canarium.kube.informers.projections.meta import Metadata, make_meta
from canarium.kube.informers.projections.problems import make_problem

MAKES_A_REVISION = frozenset({"f:model", "f:server", "f:pod"})
"The parts of spec whose writer a revision has."


def project_model(
    body: Mapping[str, Any],
    known: ModelObject | None = None,
    defaults: Defaults = NO_DEFAULTS,
    boundary: Boundary | None = None,
) -> ModelObject:
    """A ModelDeployment; the spec is parsed again only when its generation is new.

    Whatever is raised about the spec is a problem of the spec's; about its provenance or its
    status, it is as if these weren't there.
    """
    boundary = boundary or Boundary()
    meta = make_meta(msgspec.convert(body["metadata"], Metadata))
    same = known if known is not None and _is_same_generation(meta, known) else None
    spec, problems = (same.spec, same.problems) if same else _make_spec(body, defaults, boundary)
    annotations = body["metadata"].get("annotations") or {}
    return ModelObject(
        meta=meta,
        spec=spec,
        problems=problems,
        commands={
            verb: annotations[PREFIX + verb] for verb in VERBS if PREFIX + verb in annotations
        },
        status=_make_status(meta, body.get("status") or {}, boundary),
        origin=same.origin if same else _make_origin(meta, body["metadata"], boundary),
        traffic=same.traffic if same else None if spec else _make_traffic(body, boundary),
    )


def _is_same_generation(meta: Meta, known: ModelObject) -> bool:
    return known.meta.uid == meta.uid and known.meta.generation == meta.generation


def _make_spec(
    body: Mapping[str, Any], defaults: Defaults, boundary: Boundary
) -> tuple[Spec | None, tuple[Problem, ...]]:
    try:
        return parse_deployment(body, defaults), ()
    except SpecError as error:
        return None, error.problems
    except Exception as error:  # noqa: BLE001 - one object must not stop the others
        meta = make_meta(msgspec.convert(body["metadata"], Metadata))
        return None, (make_problem(meta, error, boundary),)


def _make_traffic(body: Mapping[str, Any], boundary: Boundary) -> Traffic | None:
    """What a spec that cannot be used says of traffic, if that much can be read."""
    try:
        return parse_traffic(body)
    except SpecError:
        return None
    except Exception as error:  # noqa: BLE001 - one object must not stop the others
        metadata = body["metadata"]
        boundary.note("Projecting", f"{metadata.get('namespace')}/{metadata.get('name')}", error)
        return None


def _make_origin(meta: Meta, metadata: Mapping[str, Any], boundary: Boundary) -> Origin:
    """Who wrote it and from which commit: worth telling, but nothing depends on it."""
    try:
        return _read_origin(meta, metadata)
    except Exception as error:  # noqa: BLE001 - managedFields and annotations are anybody's
        boundary.note("Projecting", f"{meta.namespace}/{meta.name}", error)
        return Origin()


def _read_origin(meta: Meta, metadata: Mapping[str, Any]) -> Origin:
    """Of managedFields, which are as large as the object, only names and times are kept."""
    entries = metadata.get("managedFields") or ()
    return make_origin(
        meta.generation,
        [_make_writer(entry) for entry in entries if _owns_a_revision(entry)],
        meta.labels,
        metadata.get("annotations") or {},
        f"{meta.namespace}/{meta.name}",
    )


def _owns_a_revision(entry: Mapping[str, Any]) -> bool:
    owned = (entry.get("fieldsV1") or {}).get("f:spec") or {}
    return not MAKES_A_REVISION.isdisjoint(owned)


def _make_writer(entry: Mapping[str, Any]) -> FieldOwner:
    at = read_time(entry.get("time") or "") or 0.0
    return FieldOwner(sys.intern(entry.get("manager", "")), entry.get("operation", ""), at)


def _make_status(meta: Meta, raw: Mapping[str, Any], boundary: Boundary) -> Status:
    """A status that cannot be read is as good as lost: the core rebuilds it from what serves."""
    try:
        return parse(Status, raw)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is lost
        boundary.note("Projecting", f"{meta.namespace}/{meta.name}", error)
        return Status()
