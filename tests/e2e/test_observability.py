"""Every query of every dashboard has an answer on a real Prometheus that scraped a real rollout.

One version is promoted, the next taken back. The operator's own series are scraped from its
process. Pods are simulated, so what servers count comes from MLServer's recorded exposition; and
what this cluster cannot have (use that metrics-server measures, a mirror) is made up, but written
by the operator's own code: the panels that rest on it are named below.
"""

from __future__ import annotations

import json
import math
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
from canarium.core.names import MODEL_LABEL, REVISION_LABEL
from canarium.core.observed import Meta, ModelObject
from canarium.core.status import RevisionStatus, Status
from canarium.cost.families import render_use
from canarium.cost.usage import Amounts, RevisionUse, Use
from canarium.telemetry.families import ModelSnapshot
from canarium.telemetry.metrics import render_models

from testbed.addons.prometheus import run_prometheus
from testbed.operators.running import RunningOperator
from testbed.programs.processes import wait_until
from testbed.programs.progress import Progress
from testbed.scenario.manifests import Json, rollout, simulated
from testbed.scenario.scenario import Scenario, in_state, phase
from testbed.servers.expositions import serving
from testbed.servers.metric_web import answering, vector

pytestmark = [pytest.mark.timeout(600, func_only=True)]
SECONDS = 90.0
ROOT = Path(__file__).parents[2]
FILES = ROOT / "charts" / "canarium" / "files"
RECORDED = (ROOT / "tests/unit/metrics/texts/MLServer.txt").read_text()
MADE_UP = {"Mirrored", "CPU", "Memory", "Cost"}
"Panels of the dashboard of a model whose series are not of this rollout."
EVIDENCE = "canarium_analysis_evidence / canarium_analysis_evidence_limit"
MADE = "made"
"The model that has them."


@dataclass(frozen=True)
class Asked:
    """One query of a dashboard, and where it stands there."""

    dashboard: str
    place: str
    expr: str


def list_queries() -> Iterator[Asked]:
    """Every query of every panel and annotation, and what variables are filled from."""
    for path in sorted((FILES / "dashboards").glob("*.json")):
        dashboard = json.loads(path.read_text())
        for panel in dashboard["panels"]:
            for target in panel.get("targets", ()):
                yield Asked(path.stem, panel["title"], target["expr"])
        for mark in dashboard["annotations"]["list"]:
            yield Asked(path.stem, mark["name"], mark["expr"])
        for variable in dashboard["templating"]["list"]:
            if variable["type"] == "query":
                series, _, label = variable["query"]["query"].rpartition(", ")
                series = series.removeprefix("label_values(")
                has_label = f"count by ({label.removesuffix(')')}) ({series})"
                yield Asked(path.stem, variable["name"], has_label)


def fill(asked: Asked, values: dict[str, str]) -> str:
    """The query as Grafana would send it."""
    chosen = {**values, "model": MADE} if asked.place in MADE_UP else values
    expr = asked.expr
    for name in sorted(chosen, key=len, reverse=True):
        expr = expr.replace(f"${name}", chosen[name])
    assert "$" not in expr.replace('"$1"', "").replace('"$2"', ""), expr
    return expr


def ask(prometheus: str, expr: str, begun: float) -> list[Json]:
    """The series of a query over the whole play, a point a second."""
    query = urlencode({"query": expr, "start": begun, "end": time.time(), "step": 1})
    url = f"{prometheus}/api/v1/query_range?{query}"
    with urlopen(url, timeout=SECONDS) as answer:  # noqa: S310 - a Prometheus of our own
        found: list[Json] = json.load(answer)["data"]["result"]
    return found


def has_data(series: list[Json]) -> bool:
    """Whether there is any number in it."""
    values = (float(value) for each in series for _, value in each["values"])
    return any(math.isfinite(value) for value in values)


def make_up(namespace: str) -> str:
    """What metrics-server's measurements and a mirroring gateway would have given."""
    status = Status(
        stable=RevisionStatus("5d8f7c9b64", "v1", weight=100),
        canary=RevisionStatus("07b9d6f5c8", "v2", mirror=20),
    )
    view = ModelSnapshot(ModelObject(Meta(namespace, MADE, "uid", "1"), None, status=status))
    use = Use(
        pods=2,
        measured_pods=2,
        requested=Amounts(Decimal(1), Decimal(2**30)),
        used_cpu_cores=Decimal("0.4"),
        used_memory_bytes=Decimal(2**29),
        cost_per_hour=Decimal("0.05"),
    )
    row = RevisionUse(namespace, MADE, "5d8f7c9b64", "v1", use)
    parts = [*render_models([view], time.time(), lambda _about, _error: None), *render_use([row])]
    return b"".join(part for part in parts if b"canarium_models{" not in part).decode()


def terms(address: str, hold: str) -> Json:
    """Two metrics that Prometheus is asked for each second: a count and a gauge."""
    series = '{version="{{version}}"}'
    source = {"address": address, "bad": f"refused{series}", "total": f"asked{series}"}
    refusals = {
        "name": "refusals",
        "prometheus": source,
        "vsStable": {"maxIncrease": "1%"},
        "interval": "1s",
    }
    drift = {
        "name": "drift",
        "prometheus": {"address": address, "query": f"drift{series}"},
        "max": "0.5",
        "interval": "1s",
    }
    found = rollout((50, hold), analysis=[refusals, drift], guard={"duration": "2s"})
    found["analysis"]["minRequests"] = 0
    return found


def answer_as_versions_do() -> Any:
    """Counters that grow by 100 at each look; v3 refuses 30 of them, the others 1."""
    looks = Counter[str]()

    def answer(_path: str, query: str) -> Any:
        if query.startswith("drift"):
            return vector(0.25)
        looks[query] += 1
        refuses = 30 if 'version="v3"' in query else 1
        return vector(looks[query] * (refuses if query.startswith("refused") else 100))

    return answer


def tell_pods(rehearsal: Scenario, expositions: Any) -> None:
    """Have Prometheus find the pods that there are now."""
    for pod in rehearsal.all_of("Pod"):
        meta = pod["metadata"]
        labels = {name: meta["labels"][name] for name in (MODEL_LABEL, REVISION_LABEL)}
        expositions.add_pod(rehearsal.namespace, meta["name"], labels)


def play(rehearsal: Scenario, address: str, expositions: Any, prometheus: str) -> None:
    """v1 serves, v2 is promoted once Prometheus has seen it judged, v3 taken back."""
    begun = time.time()
    rehearsal.apply(simulated("v1"))
    rehearsal.wait(phase("Healthy"), SECONDS)
    rehearsal.apply(simulated("v2", rollout=terms(address, "10m")))
    canary = rehearsal.wait(in_state("Holding"), SECONDS)["status"]["canary"]["revision"]
    tell_pods(rehearsal, expositions)
    assert wait_until(lambda: has_data(ask(prometheus, EVIDENCE, begun)), SECONDS)
    rehearsal.command("promote", canary)
    rehearsal.wait(phase("Healthy"), SECONDS)
    rehearsal.apply(simulated("v3", rollout=terms(address, "60s")))
    rehearsal.wait(phase("RolledBack"), SECONDS)


def test_every_query_of_every_dashboard_has_an_answer(rehearsal: Scenario, tmp_path: Path) -> None:
    assert isinstance(rehearsal.operator, RunningOperator)
    begun = time.time()
    target = rehearsal.operator.address
    with (
        answering(answer_as_versions_do()) as web,
        serving(RECORDED, lambda: make_up(rehearsal.namespace)) as expositions,
    ):
        job = {
            "job_name": "canarium",
            "honor_labels": True,
            "static_configs": [{"targets": [target], "labels": {"namespace": "canarium"}}],
        }
        more = {
            "rule_files": [str(FILES / "alerts.yaml")],
            "scrape_configs": [job, *expositions.jobs],
        }
        directory = tmp_path / "prometheus"
        directory.mkdir()
        with run_prometheus(directory, [], Progress(), more=more) as prometheus:
            play(rehearsal, web.url, expositions, prometheus)
            values = {
                "namespace": rehearsal.namespace,
                "model": "iris",
                "instance": target,
                "__rate_interval": "5s",
                "__range_s": "3600",
                "__from": str(int((begun - 3600) * 1000)),
            }
            missing = [
                asked
                for asked in list_queries()
                if not is_answered(prometheus, fill(asked, values), begun)
            ]
            assert missing == []
            find_firing(prometheus, begun)


def is_answered(prometheus: str, query: str, begun: float) -> bool:
    """Whether there is data for a query, now or soon."""
    return wait_until(lambda: has_data(ask(prometheus, query, begun)), SECONDS)


def find_firing(prometheus: str, begun: float) -> None:
    """The rollback is alerted by the rules that the chart ships, and nothing else is.

    But that recorded servers fail one request in nine, if the play took the two minutes of that.
    """
    firing = 'ALERTS{alertstate="firing"}'
    assert wait_until(lambda: has_data(ask(prometheus, firing, begun)), SECONDS)
    names = {series["metric"]["alertname"] for series in ask(prometheus, firing, begun)}
    assert names - {"CanariumErrorBudgetBurn"} == {"CanariumRolledBack"}


def test_a_deleted_model_leaves_no_series(rehearsal: Scenario) -> None:
    operator = rehearsal.operator
    assert operator is not None
    rehearsal.apply(simulated("v1"))
    rehearsal.wait(phase("Healthy"), SECONDS)
    assert wait_until(lambda: 'model="iris"' in operator.get("/metrics"), SECONDS)

    rehearsal.kubectl("delete", "mdep/iris")

    assert wait_until(lambda: 'model="iris"' not in operator.get("/metrics"), SECONDS)
