"""What the core and people get to see of a running analysis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from canarium import judge
from canarium.core.observed import AnalysisResult
from canarium.core.plan import Measure
from canarium.metrics.counters import Counters
from canarium.metrics.kept_counters import dump_counters
from canarium.metrics.sessions.readers import describe_source

EXPERIMENT = "experiment"
"Under which name an experiment is kept beside the other tests."
COUNTERS = "counters"
"Under which name the pods' counters are kept, as they stood at the reading that was judged last."
PROBLEMS = 5
"How many troubles are told at once."


def make_result(
    measure: Measure,
    analysis: judge.Analysis,
    experiment: judge.Experiment | None,
    problems: Sequence[str],
    counted: Mapping[str, Counters],
    *,
    withheld: bool = False,
) -> AnalysisResult:
    """What the core gets to see of an analysis; `counted` is where the pods' counters stand."""
    over = measure.hold_over
    found, rows = judge.verdict(analysis, hold_over=over), judge.rows(analysis, hold_over=over)
    decisive = next((row for row in rows if row.verdict == found), None)
    sources, state = find_sources(measure), judge.dump(analysis)
    if experiment is not None:
        rows = (*rows, judge.make_experiment_row(experiment, measure.experiment))
        state[EXPERIMENT] = judge.dump_experiment(experiment)
    if (kept := dump_counters(counted)) is not None:
        state[COUNTERS] = kept
    return AnalysisResult(
        key=measure.key,
        verdict=found,
        reason=decisive.reason if decisive else "",
        message=f"{decisive.metric}: {decisive.message}" if decisive else "",
        rows=tuple(dump_row(row, sources.get(row.metric, "Pods")) for row in rows),
        state=msgspec.json.encode(state).decode(),
        problems=tuple(problems[:PROBLEMS]),
        proven=judge.is_proven(analysis),
        experiment=judge.verdict_experiment(experiment) if experiment else "",
        withheld=withheld,
    )


def find_sources(measure: Measure) -> Mapping[str, str]:
    """Where each metric's figures come from."""
    return {
        **{metric.name: metric.source for metric in measure.metrics},
        "traffic-share": "Pods",
        **{
            metric_query.metric.name: describe_source(metric_query.query)
            for metric_query in measure.metric_queries
        },
    }


def dump_row(row: judge.Row, source: str) -> Mapping[str, Any]:
    """A row as status shows it; the API has no floats, so what isn't a count is a string."""
    low, high = row.interval or (None, None)
    figures = {
        "bound": row.bound,
        "testedRatio": row.tested_ratio,
        "intervalLow": low,
        "intervalHigh": high,
        "eValue": row.e_value,
        "failsAt": row.fails_at,
        "proof": row.proof,
        "value": row.value,
        "stableValue": row.stable_value,
        "estimate": row.estimate,
    }
    slow = row.threshold_seconds
    return {
        "metric": row.metric,
        "source": source,
        "check": row.check,
        "verdict": row.verdict,
        "reason": row.reason,
        "message": row.message,
        "canaryBad": row.canary_bad,
        "canaryTotal": row.canary_total,
        "stableBad": row.stable_bad,
        "stableTotal": row.stable_total,
        **({"threshold": f"{1000 * slow:.4g}ms"} if slow is not None else {}),
        **{name: f"{figure:.4g}" for name, figure in figures.items() if figure is not None},
    }
