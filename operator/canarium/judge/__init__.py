"""The judge: verdicts on a canary from counts of answers, by tests that may be watched.

Pure, and usable by itself: start an analysis, feed it readings, ask for the verdict.
"""

from canarium.judge.analysis import Analysis, next_step, observe, start
from canarium.judge.evidence import Row, Verdict, rows, verdict
from canarium.judge.metrics import Buckets, Metric, Reading, Sample, absolute
from canarium.judge.state import dump, load

__all__ = [
    "Analysis",
    "Buckets",
    "Metric",
    "Reading",
    "Row",
    "Sample",
    "Verdict",
    "absolute",
    "dump",
    "load",
    "next_step",
    "observe",
    "rows",
    "start",
    "verdict",
]
