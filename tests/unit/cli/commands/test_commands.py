"""Commands as a person types them, against an apiserver in memory: output and exit codes."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from canarium.cli.main import main

from tests.unit.cli import objects
from tests.unit.cli.fake_apiserver import (
    MODELS,
    PODS,
    REVISIONS,
    FakeApiserver,
    Json,
    make_refusal,
    serve,
    write_kubeconfig,
)
from tests.unit.cli.objects import PODS as ALL_PODS
from tests.unit.cli.objects import RECORDS, V7


@dataclass(frozen=True)
class Said:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str


Run = Callable[..., Said]


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command against a fake."""

    def against(fake: FakeApiserver, *words: str) -> Said:
        with serve(fake, tmp_path) as kubeconfig:
            code = main([*words, "--kubeconfig", str(kubeconfig)])
        printed = capsys.readouterr()
        return Said(code, printed.out, printed.err)

    return against


def make_fake(model: Json, **fields: object) -> FakeApiserver:
    return FakeApiserver(copy.deepcopy(model), list(RECORDS), list(ALL_PODS), **fields)  # type: ignore[arg-type]


def act(verb: str, message: str, ignored: str = "") -> Callable[[Json], Json]:
    """An operator that acts on a command at once."""

    def react(model: Json) -> Json:
        handled = {verb: model["metadata"]["annotations"][f"canarium.dev/{verb}"]}
        reasons = {verb: ignored} if ignored else {}
        told = {"message": message, "lastHandledCommands": handled, "ignoredCommands": reasons}
        return {**model, "status": {**model["status"], **told}}

    return react


def test_a_command_is_written_over_what_was_read_and_its_effect_is_told(run: Run) -> None:
    fake = make_fake(objects.HOLDING, react=act("promote", "step 2 of 3 (half) at 50 %"))

    said = run(fake, "promote", "fraud")

    assert said == Said(0, "promoted: step 2 of 3 (half) at 50 %\n", "")
    (patch,) = fake.patches
    text = patch["metadata"]["annotations"].pop("canarium.dev/promote")
    assert text.startswith(f"{V7}:1@")
    assert patch == {"metadata": {"resourceVersion": "1200", "annotations": {}}}


def test_a_command_without_effect_says_why(run: Run) -> None:
    fake = make_fake(objects.HOLDING, react=act("abort", "", "it is being taken back already"))
    assert run(fake, "abort", "fraud") == Said(
        1, "", "canarium: no effect: it is being taken back already\n"
    )


def test_a_command_is_bound_anew_when_somebody_wrote_in_between(run: Run) -> None:
    conflict = (409, make_refusal(409, "Conflict", "fraud"))
    fake = make_fake(
        objects.HOLDING, react=act("abort", "going back"), refusals={"PATCH": [conflict] * 2}
    )
    assert run(fake, "abort", "fraud") == Said(0, "aborted: going back\n", "")


def test_an_object_that_is_written_all_the_time_is_given_up(run: Run) -> None:
    conflict = (409, make_refusal(409, "Conflict", "fraud"))
    fake = make_fake(objects.HOLDING, refusals={"PATCH": [conflict] * 5})
    assert run(fake, "abort", "fraud") == Said(
        2, "", "canarium: fraud is being written all the time: try again\n"
    )


def test_an_operator_that_does_not_act_is_a_timeout(run: Run) -> None:
    assert run(make_fake(objects.HOLDING), "abort", "fraud", "--timeout", "200ms") == Said(
        3,
        "",
        "canarium: written, but nobody has acted on it within 0.2 s: does the operator run, and"
        " does it serve this namespace?\n",
    )


def test_with_no_time_to_wait_a_command_is_only_written(run: Run) -> None:
    fake = make_fake(objects.HOLDING)
    said = run(fake, "abort", "fraud", "--timeout", "0s")
    text = fake.patches[0]["metadata"]["annotations"]["canarium.dev/abort"]
    assert said == Said(0, f"abort {text} is written\n", "")


def test_a_command_that_another_one_overwrites_is_not_waited_for(run: Run) -> None:
    def overwrite(model: Json) -> Json:
        annotations = {"canarium.dev/abort": "somebody@else"}
        return {**model, "metadata": {**model["metadata"], "annotations": annotations}}

    said = run(make_fake(objects.HOLDING, react=overwrite), "abort", "fraud")
    assert said == Said(
        1, "", "canarium: another abort was given, or a sync took the annotation away\n"
    )


def test_a_command_that_means_nothing_writes_nothing(run: Run) -> None:
    fake = make_fake(objects.HEALTHY)
    said = run(fake, "promote", "fraud")
    assert (said.code, fake.patches) == (1, [])


def observe(phase: str, message: str) -> Callable[[Json], Json]:
    """An operator that has seen the new spec at once."""

    def react(model: Json) -> Json:
        status = {**model["status"], "phase": phase, "message": message, "observedGeneration": 5}
        return {**model, "metadata": {**model["metadata"], "generation": 5}, "status": status}

    return react


def test_pausing_edits_the_spec(run: Run) -> None:
    fake = make_fake(objects.HOLDING, react=observe("Paused", "waits for a person"))
    said = run(fake, "pause", "fraud")
    patch = {"metadata": {"resourceVersion": "1200"}, "spec": {"rollout": {"paused": True}}}
    assert (said, fake.patches) == (Said(0, "Paused: waits for a person\n", ""), [patch])


def test_resuming_leaves_nothing_of_the_pause(run: Run) -> None:
    paused = copy.deepcopy(objects.AWAITING)
    paused["spec"]["rollout"] = {**paused["spec"]["rollout"], "paused": True}
    fake = make_fake(paused, react=observe("Progressing", "step 2"))
    said = run(fake, "resume", "fraud")
    assert said == Said(0, "Progressing: step 2\n", "")
    assert "paused" not in fake.model["spec"]["rollout"]


def test_a_pause_of_what_is_paused_writes_nothing(run: Run) -> None:
    fake = make_fake(objects.HOLDING)
    assert run(fake, "resume", "fraud").code == 0
    assert fake.patches == []


def test_a_tool_that_will_undo_a_pause_is_named(run: Run) -> None:
    model = copy.deepcopy(objects.HOLDING)
    model["metadata"]["labels"] = {"kustomize.toolkit.fluxcd.io/name": "models"}
    fake = make_fake(model, react=observe("Paused", "waits"))
    assert run(fake, "pause", "fraud").err == (
        "canarium: Flux applies fraud: where its manifest has spec.rollout.paused too, the next"
        " sync undoes this\n"
    )


def test_wait_tells_the_story_and_ends_with_the_verdict(run: Run) -> None:
    for model, code in [
        (objects.HEALTHY, 0),
        (objects.GUARDING, 0),
        (objects.ROLLED_BACK, 1),
        (objects.AWAITING, 4),
    ]:
        assert run(make_fake(model), "wait", "fraud").code == code


def test_wait_gives_up_after_its_timeout(run: Run) -> None:
    said = run(make_fake(objects.HOLDING), "wait", "fraud", "--timeout", "200ms")
    assert (said.code, said.err) == (3, "canarium: fraud is not over within 0.2 s\n")
    assert said.out.endswith("v7 at 5 %: step 1 of 3 (five) at 5 % for 5 min\n")


def test_wait_without_time_looks_once(run: Run) -> None:
    said = run(make_fake(objects.HOLDING), "wait", "fraud", "--timeout", "0s")
    assert said == Said(3, "", "canarium: fraud is not over yet\n")


def test_watch_into_a_log_ends_at_rest(run: Run) -> None:
    said = run(make_fake(objects.ROLLED_BACK), "watch", "fraud")
    assert (said.code, said.out[8:]) == (0, f"  RolledBack   {objects.FAILED['message']}\n")


def test_get_lists_and_names(run: Run) -> None:
    said = run(make_fake(objects.HOLDING), "get")
    assert said.out.splitlines()[0].split() == [
        "NAME", "READY", "PHASE", "STABLE", "CANARY", "WEIGHT", "REASON", "AGE",
    ]  # fmt: skip
    assert said.out.splitlines()[1].split()[:-1] == [
        "fraud", "True", "Progressing", "v6", "v7", "5", "Holding",
    ]  # fmt: skip
    listed = json.loads(run(make_fake(objects.HOLDING), "get", "fraud", "-o", "json").out)
    assert listed == {"apiVersion": "v1", "kind": "List", "items": [objects.HOLDING]}


def test_a_person_who_may_not_list_pods_sees_the_rest(run: Run) -> None:
    forbidden = (403, make_refusal(403, "Forbidden"))
    fake = make_fake(objects.HOLDING, refusals={f"GET {PODS}": [forbidden]})
    said = run(fake, "status", "fraud")
    assert (said.code, said.out.count("pods are not shown")) == (0, 2)


REFUSED = [
    (
        "no such object",
        f"GET {MODELS}/fraud",
        (404, make_refusal(404, "NotFound", "fraud")),
        (
            "there is no ModelDeployment fraud in namespace risk: `canarium get -A` shows all there"
            " are"
        ),
    ),
    (
        "no such kind",
        f"GET {MODELS}/fraud",
        (404, "404 page not found\n"),
        (
            "the cluster does not know Canarium's kinds: install them with"
            " `canarium crds | kubectl apply --server-side -f -`"
        ),
    ),
    (
        "no right",
        f"GET {REVISIONS}",
        (403, make_refusal(403, "Forbidden")),
        (
            "you may not list modelrevisions in namespace risk: ask for that right,"
            " or choose -n, --context"
        ),
    ),
    (
        "nobody known",
        f"GET {MODELS}/fraud",
        (401, make_refusal(401, "Unauthorized")),
        "the cluster does not know you: log in anew, or choose --context",
    ),
    (
        "no right to write",
        "PATCH",
        (403, make_refusal(403, "Forbidden")),
        (
            "you may not patch modeldeployments in namespace risk: ask for that right,"
            " or choose -n, --context"
        ),
    ),
    (
        "an apiserver in trouble",
        f"GET {MODELS}/fraud",
        (500, make_refusal(500, "InternalError", message="etcd is away")),
        "the cluster refused to get modeldeployments in namespace risk: etcd is away",
    ),
]


@pytest.mark.parametrize(
    ("request_", "answer", "want"), [case[1:] for case in REFUSED], ids=[c[0] for c in REFUSED]
)
def test_a_refusal_is_one_sentence_with_the_cure(
    run: Run, request_: str, answer: tuple[int, Json | str], want: str
) -> None:
    fake = make_fake(objects.HOLDING, refusals={request_: [answer]})
    assert run(fake, "abort", "fraud") == Said(2, "", f"canarium: {want}\n")


def failed(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(words) == 2
    return capsys.readouterr().err


def test_a_cluster_that_is_not_there_is_said_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kubeconfig = write_kubeconfig(tmp_path, "http://127.0.0.1:1")
    assert failed(capsys, "get", "--kubeconfig", str(kubeconfig)).startswith(
        "canarium: http://127.0.0.1:1 cannot be reached ("
    )


def test_a_context_that_is_not_there_is_said_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kubeconfig = write_kubeconfig(tmp_path, "http://127.0.0.1:1")
    assert failed(capsys, "get", "--kubeconfig", str(kubeconfig), "--context", "there") == (
        f"canarium: no context there in {kubeconfig}: there is here\n"
    )


@pytest.mark.parametrize(
    ("current", "want"),
    [
        ("", "has no current context: choose with --context from here"),
        ("gone", "the current context gone is not in"),
    ],
)
def test_a_kubeconfig_without_a_usable_context_is_said_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], current: str, want: str
) -> None:
    fields = {"current-context": current}
    kubeconfig = write_kubeconfig(tmp_path, "http://127.0.0.1:1", **fields)
    assert want in failed(capsys, "get", "--kubeconfig", str(kubeconfig))


def test_a_file_that_is_no_kubeconfig_is_said_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "config"
    path.write_text("- 1\n")
    assert failed(capsys, "get", "--kubeconfig", str(path)) == (
        f"canarium: {path} is no kubeconfig: name another one with --kubeconfig\n"
    )


def test_no_kubeconfig_is_said_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KUBECONFIG", "/nowhere/config")
    assert failed(capsys, "get") == (
        "canarium: no kubeconfig at /nowhere/config: $KUBECONFIG names it\n"
    )


@pytest.mark.parametrize(
    "words",
    [
        ["promote"],
        ["promote", "fraud", "--all", "--step", "five"],
        ["rollback", "fraud"],
        ["wait", "fraud", "--timeout", "soon"],
        ["explain", "-", "--replicas", "0"],
        ["get", "-o", "xml"],
        ["promot", "fraud"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_exit_code_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert "usage: canarium" in capsys.readouterr().err
