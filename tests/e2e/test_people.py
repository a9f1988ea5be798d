"""What somebody sees who knows kubectl and nothing else."""

import subprocess
import threading

import pytest

from testbed.programs.processes import wait_until
from testbed.scenario.manifests import rollout, simulated
from testbed.scenario.scenario import Scenario, phase, serves

pytestmark = [pytest.mark.timeout(420, func_only=True)]
SECONDS = 90.0
STEPS = rollout((50, "3s"), guard={"duration": "3s"})


def test_kubectl_wait_waits_for_the_change_that_was_made(rehearsal: Scenario) -> None:
    waiting = ("wait", "--for=condition=UpToDate", "mdep/iris", "--timeout=90s")
    rehearsal.apply(simulated("v1", rollout=STEPS))
    first = rehearsal.kubectl(*waiting)
    rehearsal.apply(simulated("v2", rollout=STEPS))

    second = rehearsal.kubectl(*waiting)

    assert first == second == "modeldeployment.canarium.dev/iris condition met\n"
    found = rehearsal.get("ModelDeployment", "iris")
    assert found is not None
    assert found["status"]["stable"]["version"] == "v2"


def test_kubectl_get_watch_tells_the_story_of_a_rollout(rehearsal: Scenario) -> None:
    rehearsal.apply(simulated("v1", rollout=STEPS))
    rehearsal.wait(phase("Healthy"), SECONDS)
    told = Told(rehearsal)
    rehearsal.apply(simulated("v2", rollout=STEPS))
    rehearsal.wait(serves("v2"), SECONDS)

    header, *rows = told.end("Healthy", "v2")

    assert header.split() == [
        "NAME",
        "READY",
        "PHASE",
        "STABLE",
        "CANARY",
        "WEIGHT",
        "REASON",
        "AGE",
    ]
    phases = [row.split()[2] for row in rows]
    assert list(dict.fromkeys(phases)) == ["Healthy", "Progressing", "Guarding"]
    assert phases[-1] == "Healthy"
    assert {row.split()[1] for row in rows} == {"True"}
    assert max(map(len, rows)) <= 100


class Told:
    """`kubectl get mdep -w` in the background, line by line."""

    def __init__(self, rehearsal: Scenario) -> None:
        cluster = rehearsal.cluster
        words = ["--kubeconfig", str(cluster.kubeconfig), "-n", rehearsal.namespace]
        command = [str(cluster.kubectl_path), *words, "get", "mdep", "-w"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self._lines: list[str] = []
        self._begun = threading.Event()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        assert self._begun.wait(SECONDS)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.append(line.rstrip())
            if len(self._lines) > 1:
                self._begun.set()

    def end(self, *last: str) -> list[str]:
        """Stop watching once this phase and stable version were shown last; all that was shown."""
        wait_until(lambda: self._lines[-1].split()[2:4] == [*last], SECONDS)
        self._process.terminate()
        self._process.wait(SECONDS)
        self._reader.join(SECONDS)
        assert self._process.stdout is not None
        self._process.stdout.close()
        return self._lines
