"""What one pod carries, and how pods follow a load: on a real node, with real model servers.

python -m benchmarks.scaling carried            # a table: rates beside how long answers took
python -m benchmarks.scaling follow --write     # plays 1 to 60 requests a second and back, draws it
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path

from benchmarks.scaling.report import compute_carried, draw, make_windows, render_windows
from testbed.operators.running import start_witness
from testbed.programs.progress import Progress
from testbed.scenario.manifests import iris
from testbed.scenario.repeat import stage
from testbed.scenario.scaling import (
    LIMIT,
    READY_SECONDS,
    by_cpu,
    larger_than,
    limited,
    measure_target,
    of_size,
    read_looks,
    stable_of,
)
from testbed.scenario.scenario import Scenario, condition, phase
from testbed.scenario.stage import prepare_node, share_cluster
from testbed.witness.capacity import find_sizes

PICTURE = Path(__file__).parents[2] / "docs" / "images" / "scaling.svg"
RISE_AND_FALL = ((0.0, 1.0), (5.0, 1.0), (35.0, 60.0), (75.0, 60.0), (95.0, 1.0), (240.0, 1.0))
"Requests a second over time; it ends when the pods are gone again."
LOWEST, HIGHEST, STEP, STEP_SECONDS = 30, 100, 10, 10.0


def main() -> int:
    """Run what is asked for; 1 when a request failed that should not have."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__)
    parser.add_argument("what", choices=("carried", "follow"))
    parser.add_argument("--write", action="store_true", help=f"write {PICTURE.name}")
    arguments = parser.parse_args()
    with stage_scenario() as scenario:
        if arguments.what == "carried":
            return measure_carried(scenario)
        return play_follow(scenario, PICTURE if arguments.write else None)


@contextmanager
def stage_scenario() -> Iterator[Scenario]:
    """A scenario with an operator of its own on a node."""
    directory = Path(tempfile.mkdtemp(prefix="canarium-scaling-"))
    with ExitStack() as stack:
        cluster = stack.enter_context(share_cluster("auto", prepare_node, directory))
        child, witness = start_witness(cluster.kubeconfig, directory)
        stack.callback(child.end)
        scenario = stage(cluster, witness, directory / "scaling")
        stack.callback(end, scenario)
        yield scenario


def end(scenario: Scenario) -> None:
    """Stop whatever of it still runs."""
    if scenario.load is not None:
        scenario.load.stop()
    if scenario.operator is not None:
        scenario.operator.remove()


def measure_carried(scenario: Scenario) -> int:
    """Give one pod more and more until it is too slow."""
    scenario.apply(limited("v1", scenario.host, {"replicas": 1}))
    scenario.wait(phase("Healthy"), READY_SECONDS)
    points = list(make_stairs())
    load = scenario.start_load(points)
    load.child.process.wait(points[-1][0] + 30.0)
    windows = make_windows(scenario.stop_load(), STEP_SECONDS)
    print(f"one pod with cpu: {LIMIT}\n\n{render_windows(windows)}")
    carried = compute_carried(windows)
    print(f"\ncarries {carried:.0f} requests/s")
    return 0 if carried else 1


def make_stairs() -> Iterator[tuple[float, float]]:
    """The ramp's points: level for a while, and then higher at once (in 10 ms)."""
    for number, rate in enumerate(range(LOWEST, HIGHEST + 1, STEP)):
        yield number * STEP_SECONDS, float(rate)
        yield (number + 1) * STEP_SECONDS - 0.01, float(rate)


def play_follow(scenario: Scenario, picture: Path | None) -> int:
    """Play a load that rises and falls, say how the pods followed, and draw it."""
    scenario.cluster.install_metrics_server(Progress())
    scenario.apply(iris("v1", scenario.host, scaling={"replicas": 1}))
    scenario.wait(phase("Healthy"), READY_SECONDS)
    target = measure_target(scenario)
    print(f"a pod is to use {target} of processor time")
    scenario.apply(iris("v1", scenario.host, scaling=by_cpu(target)))
    scenario.wait(condition("Scaled", "True", "HPA"), READY_SECONDS)
    revision = stable_of(scenario)
    scenario.start_load(RISE_AND_FALL)
    scenario.wait_for("Deployment", f"iris-{revision}", larger_than(2), 90)
    scenario.wait_for("Deployment", f"iris-{revision}", of_size(1), 180)
    report = scenario.stop_load()
    looks = read_looks(scenario.changes())
    print(f"{len(report.sent)} requests, {len(report.failures)} failed")
    for (_, before), (at, after) in pairwise(find_sizes(looks, revision)):
        print(f"{at - report.answers[0].planned:6.1f} s: {before} -> {after} pods")
    if picture is not None:
        picture.write_text(draw(report, looks, revision))
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())
