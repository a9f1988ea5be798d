"""What became of the readings that models take by templates."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from canarium.core.metrics import MetricQuery
from canarium.core.spec import TemplateKind
from canarium.kube.informers.store import Key

TemplateId = tuple[TemplateKind, Key]


class Readings:
    """Keeps the last reading of each model by each template; `on_change` hears of templates."""

    def __init__(self, on_change: Callable[[TemplateKind, Key], None]) -> None:
        self._on_change = on_change
        self._readings: dict[TemplateId, dict[Key, str]] = {}
        "Of models that are being judged."
        self._past: dict[TemplateId, dict[Key, str]] = {}
        "The last one of a model that isn't any more."

    def note_reading(self, model: Key, metric_query: MetricQuery, problem: str) -> None:
        """A model's reading by a template: why it failed, or an empty text."""
        if metric_query.template is None:
            return
        kind, name = metric_query.template
        template = kind, (model[0] if kind == "MetricTemplate" else "", name)
        readings = self._readings.setdefault(template, {})
        if readings.get(model) != problem:
            readings[model] = problem
            self._on_change(*template)

    def forget(self, model: Key) -> None:
        """Nothing is read for this object any more; its last reading stands for now."""
        for template, readings in self._readings.items():
            if model in readings:
                self._past[template] = {model: readings.pop(model)}

    def find(self, template: TemplateId) -> Mapping[Key, str]:
        """Each model's last problem with a template, "" for none."""
        return self._readings.get(template) or self._past.get(template, {})

    def drop(self, template: TemplateId) -> None:
        """The template is gone."""
        self._readings.pop(template, None)
        self._past.pop(template, None)
