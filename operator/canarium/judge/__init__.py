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
from canarium.judge.evidence import is_proven, rows, verdict
from canarium.judge.intervals import (
    compute_difference_interval,
    compute_rate_interval,
    compute_ratio_interval,
)
from canarium.judge.metrics import Buckets, Metric, Reading, Sample, absolute
from canarium.judge.rows import Row, Verdict
from canarium.judge.sequential import Counts, Margin, Rate
from canarium.judge.single import SequentialTest
from canarium.judge.state import dump, load

__all__ = [
    "Analysis",
    "Buckets",
    "Counts",
    "Margin",
    "Metric",
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
    "is_proven",
    "load",
    "next_step",
    "observe",
    "observe_counts",
    "observe_error",
    "observe_gauge",
    "rows",
    "start",
    "verdict",
]
