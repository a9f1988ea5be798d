"""Every test, tier by tier: what `make test` runs, with the minutes that each tier took.

The parts of the clusters are built beside the quick tiers, since a cold build takes minutes. A
tier that cannot start is a failure; the others still run, so that one run tells everything.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from testbed import failed
from testbed.programs.progress import Progress
from testbed.rights.ledger import RUN

PYTEST = (sys.executable, "-m", "pytest", "-q")
QUICK = ("tests/unit", "tests/properties", "tests/walk", "tests/simulated", "tests/e2e/selftest")
BUILD = "parts of the clusters, built beside the quick tiers"


@dataclass(frozen=True)
class Tier:
    """One command; `needs_parts` when it brings a cluster up."""

    name: str
    command: tuple[str, ...]
    needs_parts: bool = True


@dataclass(frozen=True)
class Result:
    """How a tier ended."""

    name: str
    code: int
    seconds: float


TIERS = (
    Tier("lint, types, layers", ("make", "--no-print-directory", "lint"), needs_parts=False),
    Tier(
        "unit, properties, simulated cluster",
        (*PYTEST, "-n", "2", *QUICK),
        needs_parts=False,
    ),
    Tier(
        "the judge, measured",
        (*PYTEST, "-n", "2", "tests/measured"),
        needs_parts=False,
    ),
    Tier("clusters and images", (*PYTEST, "tests/cluster")),
    Tier(
        "end to end",
        (
            *PYTEST,
            "-n",
            "4",
            "--dist",
            "loadfile",
            "--no-loadscope-reorder",
            "tests/e2e",
            "tests/fuzz",
            "--ignore=tests/e2e/selftest",
        ),
    ),
    Tier(
        "kills and faults, security",
        (*PYTEST, "-n", "2", "--dist", "loadfile", "tests/crash", "tests/security"),
    ),
    Tier("rights used and refused", (sys.executable, "-m", "testbed.rights")),
    Tier("demo", (sys.executable, "-m", "testbed.demo", "--plain")),
)


def main() -> int:
    """Run all tiers; the exit code is 0 when each of them passed."""
    if os.geteuid() != 0 and shutil.which("kind") is None:
        print("make test needs a cluster: run it as root on Linux, or install kind and an engine.")
        return 1
    progress, begun = Progress(), time.monotonic()
    os.environ[RUN] = tempfile.mkdtemp(prefix="canarium-rights-")
    failures = Path(tempfile.mkstemp(prefix="canarium-failed-")[1])
    os.environ[failed.RUN] = str(failures)
    parts, results = Parts(progress), []
    for tier in TIERS:
        if tier.needs_parts and (built := parts.wait()) is not None:
            results.append(built)
        results.append(run(tier, progress))
    print_table(results, time.monotonic() - begun)
    print(failures.read_text(), end="", flush=True)
    return 0 if all(result.code == 0 for result in results) else 1


class Parts:
    """The build that runs beside the quick tiers."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.begun = time.monotonic()
        self.log = Path(tempfile.mkstemp(prefix="canarium-build-", suffix=".log")[1])
        progress.say(f"building the parts of the clusters in the background ({self.log})")
        python = sys.executable
        images = f"{python} -m testbed.images operator iris"
        script = f"{python} -m testbed.cluster build && {images}"
        with self.log.open("w") as log:
            command = ("bash", "-c", script)
            self.process: subprocess.Popen[bytes] | None = subprocess.Popen(
                command, stdout=log, stderr=subprocess.STDOUT
            )

    def wait(self) -> Result | None:
        """Wait for the build, once; None when that was told before."""
        if self.process is None:
            return None
        with self.progress.step("waiting for the parts of the clusters"):
            code = self.process.wait()
        self.process = None
        if code:
            print(self.log.read_text())
        return Result(BUILD, code, time.monotonic() - self.begun)


def run(tier: Tier, progress: Progress) -> Result:
    """Run one tier with its output where ours goes."""
    progress.say(f"== {tier.name}: {' '.join(tier.command[-4:])}")
    begun = time.monotonic()
    code = subprocess.run(tier.command, check=False).returncode
    return Result(tier.name, code, time.monotonic() - begun)


def print_table(results: list[Result], seconds: float) -> None:
    """What passed, and how long it took; all of it `seconds`, with the wait for a build."""
    print("\ntier" + " " * 52 + "result   minutes")
    for result in results:
        verdict = "passed" if result.code == 0 else "FAILED"
        print(f"{result.name:<56}{verdict:<9}{result.seconds / 60:7.1f}")
    print(f"{'all':<65}{seconds / 60:7.1f}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
