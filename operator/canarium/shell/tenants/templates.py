"""MetricTemplates and ClusterMetricTemplates: they say in status how models fare with them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from canarium.core.observed import TemplateRecord, WriteFailure
from canarium.core.plan import Plan
from canarium.core.spec import TemplateKind
from canarium.kube.informers.cache import Cache
from canarium.kube.informers.projections.templates import make_template_projection
from canarium.kube.informers.store import Key, own_key
from canarium.kube.kinds import TEMPLATES
from canarium.shell.brake import Cause
from canarium.shell.controller.tenant import Tenant
from canarium.templates.readings import Readings
from canarium.templates.status import ObservedTemplate, plan_template


class TemplateTenant(Tenant[TemplateRecord, ObservedTemplate]):
    """One of the two kinds of templates."""

    part = "Templates"
    reads_live = False

    def __init__(self, kind: TemplateKind, cache: Cache, readings: Readings) -> None:
        self.resource = TEMPLATES[kind]
        self.store = cache.templates[kind]
        self._kind = kind
        self._readings = readings
        self._project = make_template_projection(kind, cache.boundary)

    def observe(
        self, record: TemplateRecord, failures: tuple[WriteFailure, ...]
    ) -> ObservedTemplate:
        """The template, and the last reading of each model by it."""
        return ObservedTemplate(record, self._readings.find((self._kind, own_key(record))))

    def plan(self, observed: ObservedTemplate, now: float) -> Plan:
        """Its status, where that is news."""
        return plan_template(observed, now)

    def report(self, record: TemplateRecord, problem: str, now: float) -> Mapping[str, Any] | None:
        """Nothing: that its status can't be made is in the log."""
        return None

    def project(self, raw: bytes, known: TemplateRecord | None) -> TemplateRecord:
        """The template with its query parsed."""
        record: TemplateRecord = self._project(raw)
        return record

    def find_cause(self, record: TemplateRecord, plan: Plan) -> Cause:
        """Readings change with every model and minute: every few seconds is enough."""
        return Cause.PACED

    def release(self, key: Key) -> None:
        """Forget what models read by it."""
        self._readings.drop((self._kind, key))
