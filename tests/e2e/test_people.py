"""What somebody sees who knows kubectl and nothing else."""

import subprocess
import threading
import time

import pytest

from tests.e2e.manifests import rollout, simulated
from tests.e2e.scenario import Scenario, phase

pytestmark = [pytest.mark.timeout(120, func_only=True)]
STEPS = rollout((50, "3s"), guard={"duration": "3s"})


def test_kubectl_wait_waits_for_the_change_that_was_made(rehearsal: Scenario) -> None:
    waiting = ("wait", "--for=condition=UpToDate", "mdep/iris", "--timeout=60s")
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
    rehearsal.wait(phase("Healthy"), 30)
    told = Told(rehearsal)
    rehearsal.apply(simulated("v2", rollout=STEPS))
    rehearsal.wait(phase("Guarding"), 30)
    rehearsal.wait(phase("Healthy"), 30)

    header, *rows = told.end("Healthy")

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
        assert self._begun.wait(20)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.append(line.rstrip())
            if len(self._lines) > 1:
                self._begun.set()

    def end(self, phase: str) -> list[str]:
        """Stop watching once this phase was shown last; everything that was shown."""
        deadline = time.monotonic() + 10
        while self._lines[-1].split()[2] != phase and time.monotonic() < deadline:
            time.sleep(0.1)
        self._process.terminate()
        self._process.wait(10)
        self._reader.join(10)
        assert self._process.stdout is not None
        self._process.stdout.close()
        return self._lines
