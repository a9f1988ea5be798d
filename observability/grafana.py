"""The small part of Grafana's dashboard model that our dashboards are made of, as builders.

Positions, ids and the defaults that Grafana fills in are left to it or reckoned here, so that a
dashboard's description says only what it shows.
"""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Json = dict[str, Any]
PanelKind = Literal["bargauge", "stat", "state-timeline", "table", "timeseries"]

SCHEMA_VERSION = 41
"That of Grafana 11.6; later ones migrate it by themselves."
DATASOURCE: Json = {"type": "prometheus", "uid": "${datasource}"}
COLUMNS = 24
GREEN, YELLOW, RED, BLUE, ORANGE, PURPLE, GRAY = (
    "green", "yellow", "red", "blue", "orange", "purple", "text",
)  # fmt: skip


@dataclass(frozen=True)
class Query:
    """PromQL with the legend of its series; `table` wants its last values as rows."""

    expr: str
    legend: str = ""
    table: bool = False
    instant: bool = False


@dataclass(frozen=True)
class Panel:
    """One panel. `unit` is Grafana's; `thresholds` are colours from a value on."""

    title: str
    description: str
    queries: Sequence[Query]
    kind: PanelKind = "timeseries"
    width: int = 8
    height: int = 8
    unit: str = "short"
    options: Mapping[str, Any] = field(default_factory=dict)
    custom: Mapping[str, Any] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    overrides: Sequence[Json] = ()
    thresholds: Sequence[tuple[float | None, str]] = ((None, GREEN),)
    transformations: Sequence[Json] = ()


@dataclass(frozen=True)
class Row:
    """A heading, and the panels below it."""

    title: str
    panels: Sequence[Panel]


@dataclass(frozen=True)
class Annotation:
    """Marks on every graph: the query's values are times in milliseconds."""

    name: str
    expr: str
    color: str
    title: str


@dataclass(frozen=True)
class Variable:
    """A choice at the dashboard's head, filled from `label_values`.

    All of them are their list, or with `anything` whatever there is: quicker, where the label says
    that it is ours.
    """

    name: str
    label: str
    series: str
    of: str
    many: bool = False
    anything: bool = False

    @property
    def query(self) -> str:
        """As Grafana writes it."""
        return f"label_values({self.series}, {self.of})"


@dataclass(frozen=True)
class Dashboard:
    """One dashboard; its uid is fixed, so that links to it last."""

    uid: str
    title: str
    description: str
    variables: Sequence[Variable]
    rows: Sequence[Row]
    annotations: Sequence[Annotation] = ()
    since: str = "now-6h"
    refresh: str = "30s"


def render(dashboard: Dashboard) -> Json:
    """The dashboard as Grafana reads it."""
    return {
        "uid": dashboard.uid,
        "title": dashboard.title,
        "description": dashboard.description,
        "tags": ["canarium"],
        "timezone": "browser",
        "editable": True,
        "graphTooltip": 1,
        "schemaVersion": SCHEMA_VERSION,
        "time": {"from": dashboard.since, "to": "now"},
        "refresh": dashboard.refresh,
        "links": [_LINKS],
        "templating": {"list": [_SOURCE, *map(_render_variable, dashboard.variables)]},
        "annotations": {"list": [_render_annotation(each) for each in dashboard.annotations]},
        "panels": _lay_out(dashboard.rows),
    }


_LINKS: Json = {
    "title": "Canarium",
    "type": "dashboards",
    "icon": "external link",
    "tooltip": "The other dashboards of Canarium",
    "tags": ["canarium"],
    "asDropdown": False,
    "targetBlank": False,
    "includeVars": True,
    "keepTime": True,
}
_SOURCE: Json = {
    "name": "datasource",
    "label": "Prometheus",
    "type": "datasource",
    "query": "prometheus",
    "refresh": 1,
}


def _render_variable(variable: Variable) -> Json:
    every = {"includeAll": True, "multi": True} if variable.many else {}
    anything = {"allValue": ".*"} if variable.anything else {}
    chosen = {"current": {"text": "All", "value": "$__all"}} if variable.many else {}
    return {
        "name": variable.name,
        "label": variable.label,
        "type": "query",
        "datasource": DATASOURCE,
        "query": {"query": variable.query, "refId": variable.name},
        "refresh": 2,
        "sort": 1,
        **every,
        **anything,
        **chosen,
    }


def _render_annotation(annotation: Annotation) -> Json:
    return {
        "name": annotation.name,
        "datasource": DATASOURCE,
        "enable": True,
        "iconColor": annotation.color,
        "expr": annotation.expr,
        "titleFormat": annotation.title,
        "useValueForTime": True,
        "step": "60s",
    }


def _lay_out(rows: Sequence[Row]) -> list[Json]:
    """Panels from left to right, and below when a line is full."""
    found: list[Json] = []
    top = 0
    for row in rows:
        found.append(_render_row(row, len(found) + 1, top))
        top, left, tallest = top + 1, 0, 0
        for panel in row.panels:
            if left + panel.width > COLUMNS:
                top, left, tallest = top + tallest, 0, 0
            place = {"x": left, "y": top, "w": panel.width, "h": panel.height}
            found.append(_render_panel(panel, len(found) + 1, place))
            left, tallest = left + panel.width, max(tallest, panel.height)
        top += tallest
    return found


def _render_row(row: Row, number: int, top: int) -> Json:
    place = {"x": 0, "y": top, "w": COLUMNS, "h": 1}
    return {
        "id": number, "type": "row", "title": row.title, "collapsed": False, "gridPos": place,
        "panels": [],
    }  # fmt: skip


def _render_panel(panel: Panel, number: int, place: Json) -> Json:
    steps = [{"value": value, "color": color} for value, color in panel.thresholds]
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": DATASOURCE,
        "gridPos": place,
        "targets": [
            _render_query(query, letter)
            for letter, query in zip(string.ascii_uppercase, panel.queries, strict=False)
        ],
        "transformations": list(panel.transformations),
        "options": {**_OPTIONS[panel.kind], **panel.options},
        "fieldConfig": {
            "defaults": {
                "unit": panel.unit,
                "color": {"mode": _COLORS.get(panel.kind, "thresholds")},
                "thresholds": {"mode": "absolute", "steps": steps},
                "custom": {**_CUSTOM.get(panel.kind, {}), **panel.custom},
                **panel.defaults,
            },
            "overrides": list(panel.overrides),
        },
    }


def _render_query(query: Query, letter: str) -> Json:
    instant = query.table or query.instant
    return {
        "refId": letter,
        "datasource": DATASOURCE,
        "expr": query.expr,
        "editorMode": "code",
        "format": "table" if query.table else "time_series",
        "instant": instant,
        "range": not instant,
        **({"legendFormat": query.legend} if query.legend else {}),
    }


_LEGEND: Json = {"showLegend": True, "displayMode": "list", "placement": "bottom", "calcs": []}
_COLORS: dict[PanelKind, str] = {"timeseries": "palette-classic", "bargauge": "palette-classic"}
_OPTIONS: dict[PanelKind, Json] = {
    "timeseries": {"legend": _LEGEND, "tooltip": {"mode": "multi", "sort": "desc"}},
    "stat": {
        "reduceOptions": {"calcs": ["lastNotNull"], "values": False},
        "textMode": "auto",
        "colorMode": "value",
        "graphMode": "none",
        "justifyMode": "auto",
        "orientation": "auto",
        "wideLayout": True,
        "showPercentChange": False,
        "percentChangeColorMode": "standard",
    },
    "bargauge": {
        "reduceOptions": {"calcs": ["lastNotNull"], "values": False},
        "displayMode": "basic",
        "orientation": "horizontal",
        "valueMode": "color",
        "namePlacement": "auto",
        "showUnfilled": True,
        "sizing": "auto",
        "minVizWidth": 8,
        "minVizHeight": 16,
        "maxVizHeight": 300,
        "legend": {**_LEGEND, "showLegend": False},
    },
    "table": {"showHeader": True, "cellHeight": "sm", "frameIndex": 0},
    "state-timeline": {
        "legend": {**_LEGEND, "showLegend": False},
        "tooltip": {"mode": "single", "sort": "none"},
        "showValue": "auto",
        "mergeValues": True,
        "alignValue": "left",
        "rowHeight": 0.9,
    },
}
_CUSTOM: dict[PanelKind, Json] = {
    "timeseries": {"drawStyle": "line", "lineWidth": 1, "fillOpacity": 10, "showPoints": "never"},
    "state-timeline": {"lineWidth": 0, "fillOpacity": 70},
}

STACKED: Json = {"stacking": {"mode": "normal", "group": "A"}, "fillOpacity": 60}
STEPS: Json = {"lineInterpolation": "stepAfter"}
BARS: Json = {"drawStyle": "bars", "fillOpacity": 80, **STACKED}
AS_NAME: Json = {"textMode": "name"}


def map_values(**names: tuple[int, str]) -> Json:
    """Numbers shown as words, each with a colour: Pass=(1, GREEN)."""
    shown = {
        str(number): {"text": word, "color": color, "index": index}
        for index, (word, (number, color)) in enumerate(names.items())
    }
    return {"mappings": [{"type": "value", "options": shown}]}


def arrange(*columns: tuple[str, str], hidden: Sequence[str] = ()) -> Json:
    """The columns of a table in this order, each under a title; `hidden` are left out."""
    return {
        "id": "organize",
        "options": {
            "excludeByName": dict.fromkeys(("Time", "__name__", *hidden), True),
            "indexByName": {name: index for index, (name, _) in enumerate(columns)},
            "renameByName": dict(columns),
        },
    }


def override(column: str, **properties: Any) -> Json:
    """Other settings for one column or series; a dot in a setting's name is written as __."""
    return {
        "matcher": {"id": "byName", "options": column},
        "properties": [
            {"id": name.replace("__", "."), "value": value} for name, value in properties.items()
        ],
    }


def link_to_model() -> list[Json]:
    """From a row of a table to that model's own dashboard."""
    fields = "var-namespace=${__data.fields.Namespace}&var-model=${__data.fields.Model}"
    return [
        {"title": "This model", "url": f"/d/canarium-model?{fields}&${{datasource:queryparam}}"}
    ]
