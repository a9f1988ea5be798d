"""The judge: verdicts on a canary from counts of answers, by tests that may be watched.

Pure, and usable by itself: start an analysis, feed it readings, ask for the verdict. Or take one
test alone: `SequentialTest(Rate(0.05))` for one sample, `SequentialTest(Margin(...))` for two.
"""

from canarium.judge.analysis import (
    Analysis,
    next_step,
    observe,
    observe_counts,
    observe_error,
    observe_gauge,
    start,
)
from canarium.judge.experiment import (
    Experiment,
    Outcome,
    dump_experiment,
    load_experiment,
    make_experiment_row,
    observe_experiment,
    start_experiment,
    verdict_experiment,
)
from canarium.judge.intervals import (
    compute_difference_interval,
    compute_rate_interval,
    compute_ratio_interval,
)
from canarium.judge.metrics import Buckets, Metric, Reading, Sample, absolute
from canarium.judge.ranks import prepare as prepare_ranks
from canarium.judge.rows import Row, Verdict
from canarium.judge.sequential import Counts, Margin, Rate
from canarium.judge.single import SequentialTest
from canarium.judge.state import dump, load
from canarium.judge.verdicts import is_proven, rows, verdict

__all__ = [
    "Analysis",
    "Buckets",
    "Counts",
    "Experiment",
    "Margin",
    "Metric",
    "Outcome",
    "Rate",
    "Reading",
    "Row",
    "Sample",
    "SequentialTest",
    "Verdict",
    "absolute",
    "compute_difference_interval",
    "compute_rate_interval",
    "compute_ratio_interval",
    "dump",
    "dump_experiment",
    "is_proven",
    "load",
    "load_experiment",
    "make_experiment_row",
    "next_step",
    "observe",
    "observe_counts",
    "observe_error",
    "observe_experiment",
    "observe_gauge",
    "prepare_ranks",
    "rows",
    "start",
    "start_experiment",
    "verdict",
    "verdict_experiment",
]
