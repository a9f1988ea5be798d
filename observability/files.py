"""All files that are rendered, and where in the chart they belong."""

from __future__ import annotations

import json
from pathlib import Path

from observability.alerts import GROUPS
from observability.delivery import DELIVERY
from observability.fleet import FLEET
from observability.grafana import render
from observability.one_model import ONE_MODEL
from observability.operator_itself import OPERATOR
from observability.rules import render_rules

CHART = Path(__file__).parents[1] / "charts" / "canarium" / "files"
DASHBOARDS = (FLEET, ONE_MODEL, OPERATOR, DELIVERY)


def render_files() -> dict[Path, str]:
    """Each file's text, by its path in the chart's files."""
    dashboards = {
        Path("dashboards") / f"{each.uid}.json": json.dumps(render(each), indent=2) + "\n"
        for each in DASHBOARDS
    }
    return {**dashboards, Path("alerts.yaml"): render_rules(GROUPS)}


def find_stale(directory: Path = CHART) -> list[Path]:
    """The files that are missing, differ, or are no longer rendered."""
    wanted = render_files()
    found = {path.relative_to(directory) for path in (directory / "dashboards").glob("*.json")}
    differing = {path for path, text in wanted.items() if read(directory / path) != text}
    return sorted(differing | (found - set(wanted)))


def read(path: Path) -> str | None:
    """A file's text; None where there is none."""
    return path.read_text(encoding="utf-8") if path.exists() else None
