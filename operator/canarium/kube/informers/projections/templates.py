"""MetricTemplates and ClusterMetricTemplates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Raw

from canarium.api import parse_template
from canarium.core.observed import Meta, TemplateRecord
from canarium.core.spec import TemplateKind, TemplateSpec
from canarium.errors import SpecError
from canarium.kube.boundary import Boundary
from canarium.kube.informers.projections.meta import Metadata, Projection, make_meta
from canarium.kube.informers.projections.problems import make_problem


def make_template_projection(kind: TemplateKind, boundary: Boundary | None = None) -> Projection:
    """Make what turns one of the kinds of templates into records."""
    noted = boundary or Boundary()

    def project(raw: bytes | Raw) -> TemplateRecord:
        body = msgspec.json.decode(raw)
        meta = make_meta(msgspec.convert(body["metadata"], Metadata))
        spec, problem = _make_template(meta, body.get("spec") or {}, noted)
        return TemplateRecord(
            meta=meta,
            kind=kind,
            spec=spec,
            problem=problem,
            status=body.get("status") or {},
        )

    return project


def _make_template(
    meta: Meta, raw: Mapping[str, Any], boundary: Boundary
) -> tuple[TemplateSpec | None, str]:
    try:
        return parse_template(raw), ""
    except SpecError as error:
        return None, str(error)
    except Exception as error:  # noqa: BLE001 - one template must not stop the others
        return None, str(make_problem(meta, error, boundary))
