"""The commands for people, as processes of their own, on a real control plane with an operator.

Simulated nodes, router Replicas. Everything that a command says is what a person would see.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from testbed.operators.running import ROOT
from testbed.programs.processes import wait_until
from testbed.scenario.manifests import Json, rollout, simulated
from testbed.scenario.person import Person, Said
from testbed.scenario.scenario import Holds, Scenario, condition, in_state, named, phase, serves

pytestmark = [pytest.mark.timeout(300, func_only=True)]
SECONDS = 60.0
NO_GUARD = {"duration": "0s"}
QUICK = rollout((50, "1s"), guard=NO_GUARD)
SLOW = rollout((50, "10m"), guard=NO_GUARD)
APPROVED: Json = {
    "steps": [{"name": "half", "weight": 50, "approval": "Manual"}],
    "guard": NO_GUARD,
}


def serve_and_try(rehearsal: Scenario, terms: Json) -> Person:
    """v1 serves and v2 is being tried, in a step that lasts."""
    rehearsal.apply(simulated("v1", rollout=terms))
    rehearsal.wait(phase("Healthy"), SECONDS)
    rehearsal.apply(simulated("v2", rollout=terms))
    rehearsal.wait(in_state("Holding"), SECONDS)
    return Person(rehearsal)


def blame(rehearsal: Scenario, *tags: str) -> None:
    """These versions may be taken back in this scenario."""
    rehearsal.blamed = {f"registry.example.com/iris:{tag}" for tag in tags}


def left_rest() -> Holds:
    """Holds of a ModelDeployment that is rolled back no more; commands are noted a write before."""
    return named(lambda found: found["status"]["phase"] != "RolledBack", "another phase")


def said_since(rehearsal: Scenario, verb: str) -> set[str]:
    """All that status said since a command was acted on."""
    statuses = [
        change.object.get("status", {})
        for change in rehearsal.changes()
        if change.kind == "ModelDeployment"
    ]
    later = (each for each in statuses if verb in each.get("lastHandledCommands", {}))
    return {str(each.get("message")) for each in later}


def test_a_held_step_is_shown_promoted_and_waited_for(rehearsal: Scenario) -> None:
    person = serve_and_try(rehearsal, SLOW)

    shown = person.run("status", "iris")
    early = person.run("wait", "iris", "--timeout", "1s")
    promoted = person.run("promote", "iris")
    waited = person.run("wait", "iris", "--timeout", "60s")
    listed = person.run("get")

    lines = shown.out.splitlines()
    assert lines[0] == f"iris in {rehearsal.namespace}: Progressing, Holding"
    assert [line.split()[:3] for line in lines if "stable" in line or "canary" in line] == [
        ["├──", "stable", "v1"],
        ["├──", "canary", "v2"],
    ]
    assert "▶  1  w50    50 %  held " in shown.out
    assert (early.code, early.err) == (3, "canarium: iris is not over within 1 s\n")
    assert (promoted.code, promoted.out.startswith("promoted: ")) == (0, True)
    assert (waited.code, waited.out.splitlines()[-1]) == (0, "version v2 serves all")
    assert listed.out.splitlines()[1].split()[:5] == ["iris", "True", "Healthy", "v2", "Serving"]


def test_an_approval_is_an_end_of_its_own_for_a_ci_job(rehearsal: Scenario) -> None:
    person = serve_and_try(rehearsal, APPROVED)
    rehearsal.wait(phase("Paused"), SECONDS)

    waiting = person.run("wait", "iris")
    with person.running("wait", "iris", "--through-pauses", "--timeout", "90s") as through:
        promoted = person.run("promote", "iris", "--step", "half")
        code = through.wait(120)

    assert waiting.code == 4
    assert "waits for a person, AwaitingApproval: step 1 of 2 (half) at 50 %" in waiting.err
    assert (promoted.code, code) == (0, 0)


def test_an_abort_and_a_retry_say_what_came_of_them(rehearsal: Scenario) -> None:
    blame(rehearsal, "v2")
    person = serve_and_try(rehearsal, SLOW)

    with person.running("watch", "iris") as watching:
        aborted = person.run("abort", "iris")
        assert watching.wait(120) == 0
        story = watching.stdout.read() if watching.stdout else ""
    refused = person.run("wait", "iris")
    again = person.run("abort", "iris")
    shown = json.loads(person.run("status", "iris", "-o", "json").out)
    history = json.loads(person.run("history", "iris", "-o", "json").out)
    retried = person.run("retry", "iris")
    rehearsal.wait(left_rest(), SECONDS)
    hastened = person.run("promote", "iris", "--all")
    done = person.run("wait", "iris", "--timeout", "60s")

    # It may be back by the time that the command looks.
    told = ("going back: aborted by a person", "aborted by a person")
    assert aborted in [Said(0, f"aborted: {words}\n", "") for words in told]
    assert story.splitlines()[-1].split(maxsplit=1)[1] == "RolledBack   aborted by a person"
    assert (refused.code, refused.err) == (1, "RolledBack, Aborted: aborted by a person\n")
    assert again == Said(
        1, "", "canarium: nothing is being rolled out: RolledBack, aborted by a person\n"
    )
    assert [(one["version"], one["reason"]) for one in shown["rejected"]] == [("v2", "Aborted")]
    assert [(one["version"], one["outcome"]) for one in history] == [
        ("v2", "RolledBack"),
        ("v1", "Stable"),
    ]
    assert (retried.code, hastened.code, done.code) == (0, 0, 0)


def test_going_back_in_history_holds_until_a_retry(rehearsal: Scenario) -> None:
    rehearsal.apply(simulated("v1", rollout=QUICK))
    rehearsal.wait(serves("v1"), SECONDS)
    rehearsal.apply(simulated("v2", rollout=QUICK))
    rehearsal.wait(serves("v2"), SECONDS)
    person = Person(rehearsal)

    restarted = person.run("restart", "iris")
    back = person.run("rollback", "iris", "--to", "v1")
    rehearsal.wait(condition("UpToDate", "False"), SECONDS)
    refused = person.run("wait", "iris", "--timeout", "60s")
    overridden = rehearsal.wait(phase("RolledBack"), SECONDS)
    nothing = person.run("rollback", "iris", "--to", "v1")
    unknown = person.run("rollback", "iris", "--to", "v9")
    told = said_since(rehearsal, "rollback")
    forward = person.run("retry", "iris")
    rehearsal.wait(left_rest(), SECONDS)
    done = person.run("wait", "iris", "--timeout", "60s")

    assert (restarted.code, restarted.out.startswith("restarting the pods of ")) == (0, True)
    assert (back.code, back.out.startswith("going back to ")) == (0, True)
    assert back.out.strip().partition(": ")[2] in told, told
    assert (refused.code, refused.err.startswith("RolledBack, Overridden: ")) == (1, True)
    assert overridden["status"]["stable"]["version"] == "v1"
    assert nothing == Said(1, "", "canarium: no effect: it serves already\n")
    assert (unknown.code, unknown.err[:42]) == (1, "canarium: no revision v9 is in history: th")
    assert (forward.code, done.code) == (0, 0)


def test_a_pause_is_the_persons_edit_and_is_taken_back_whole(rehearsal: Scenario) -> None:
    person = serve_and_try(rehearsal, SLOW)

    paused = person.run("pause", "iris")
    held = rehearsal.get("ModelDeployment", "iris") or {}
    waiting = person.run("wait", "iris")
    resumed = person.run("resume", "iris")

    assert paused == Said(0, "Paused: waits for spec.rollout.paused to become false\n", "")
    assert held["spec"]["rollout"] == {**SLOW, "paused": True}
    assert waiting.code == 4
    assert resumed.out == "Progressing: step 1 of 2 (w50) at 50 % for 10 min\n"
    free = rehearsal.get("ModelDeployment", "iris") or {}
    assert free["spec"]["rollout"] == SLOW


def test_without_an_operator_a_command_waits_and_then_says_so(rehearsal: Scenario) -> None:
    blame(rehearsal, "v2")
    person = serve_and_try(rehearsal, SLOW)
    assert rehearsal.operator is not None
    rehearsal.operator.stop()

    silent = person.run("abort", "iris", "--timeout", "1s")
    rehearsal.operator.start()

    assert silent.code == 3
    assert silent.err.startswith("canarium: written, but nobody has acted on it within 1 s:")
    rehearsal.wait(phase("RolledBack"), SECONDS)


def test_what_a_person_may_not_do_is_said_plainly(rehearsal: Scenario) -> None:
    rehearsal.apply(simulated("v1"))
    rehearsal.wait(phase("Healthy"), SECONDS)
    stranger = Person(rehearsal, rehearsal.cluster.kubeconfig_for("canarium-operator"))
    person = Person(rehearsal)

    forbidden = stranger.run("pause", "iris")
    missing = person.run("status", "nobody")

    where = f"in namespace {rehearsal.namespace}"
    assert forbidden == Said(
        2,
        "",
        f"canarium: you may not get modeldeployments {where}: ask for that right, or choose -n,"
        " --context\n",
    )
    assert missing == Said(
        2,
        "",
        f"canarium: there is no ModelDeployment nobody {where}: `canarium get -A` shows all there"
        " are\n",
    )


PROGRAMS = {
    "kubectl-canarium": "from canarium.cli.main import main_of_plugin as run",
    "kubectl_complete-canarium": "from canarium.cli.commands.completion "
    "import complete_for_kubectl as run",
}
"The executables that the package installs, by what they import."


def test_kubectl_finds_the_plugin_and_completes_it(rehearsal: Scenario, tmp_path: Path) -> None:
    for name, imports in PROGRAMS.items():
        program = tmp_path / name
        program.write_text(f"#!{sys.executable}\nimport sys\n{imports}\nsys.exit(run())\n")
        program.chmod(0o755)
    rehearsal.apply(simulated("v1"))
    rehearsal.wait(phase("Healthy"), SECONDS)

    listed = ask_kubectl(rehearsal, tmp_path, "canarium", "get", "-n", rehearsal.namespace)
    completed = ask_kubectl(rehearsal, tmp_path, "__complete", "canarium", "sta")
    asked = ("__complete", "canarium", "status", "-n", rehearsal.namespace, "")

    def suggest() -> list[str]:
        return ask_kubectl(rehearsal, tmp_path, *asked).splitlines()

    assert listed.splitlines()[1].split()[:4] == ["iris", "True", "Healthy", "v1"]
    assert completed.splitlines() == ["status", ":4"]
    # A shell isn't kept for more than 2 s: on a busy machine nothing may be known by then.
    assert wait_until(lambda: suggest() == ["iris", ":4"], SECONDS), suggest()


def ask_kubectl(rehearsal: Scenario, directory: Path, *words: str) -> str:
    """Run kubectl with a directory in front of the PATH; its standard output."""
    environment = {
        **os.environ,
        "KUBECONFIG": str(rehearsal.cluster.kubeconfig),
        "PATH": f"{directory}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT / "operator"),
    }
    done = subprocess.run(
        [str(rehearsal.cluster.kubectl_path), *words],
        capture_output=True, text=True, check=True, env=environment, timeout=60,
    )  # fmt: skip
    return done.stdout
