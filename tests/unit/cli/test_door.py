"""Whatever a command prints, nothing that others wrote steers a terminal or forges a line.

Every command and subcommand that the parser knows is run, with each form of output, against
objects whose every free text is hostile: a new command is covered by being added.
"""

from __future__ import annotations

import argparse
import asyncio
import copy
import io
import json
import re
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from canarium.cli import suggestions
from canarium.cli.connection import POLICIES
from canarium.cli.drawing.terminal import make_console, phase
from canarium.cli.main import all_modules, main, make_parser
from canarium.cli.output import clean, dump_json, dump_yaml, fit, flatten, open_door
from canarium.cli.suggestions import suggest
from rich.text import Text

from tests.unit.cli import objects
from tests.unit.cli.fake_apiserver import MODELS, FakeApiserver, make_refusal, serve
from tests.unit.cli.objects import PODS, RECORDS, Json

FORGED = "canarium: promoted"
HOSTILE = (
    "\x1b]0;owned\x07\x1b[2J\x9b31m\x9d8;;x\x9c\x7f\x08\x00\r\n"
    f"{FORGED}\u2028{FORGED}\x85{FORGED}\x0b\u202egnp.exe\u2066\u200b\u00ad\ufeff\ud800"
)
STRUCTURAL = re.compile(
    r"(apiVersion|kind|at|.*At|creationTimestamp|resourceVersion|state|status|phase|outcome|type"
    r"|duration|hold|approval|role|check|metric|verdict|.*Value|.*High|.*Low|bound|failsAt|estimate"
    r"|threshold|observedGeneration|canarium\.dev/.*|image|ending|namespace|router)"
)
"What a program goes by: other values would end it before it prints."
OWN = re.compile("\x1b\\[([0-9;]*m|\\?25[lh]|1A|2K)|\r")
"What rich writes itself on a terminal: colours, the cursor and the line that it draws anew."


def poison(value: Any) -> Any:
    """The same with hostile words in every free text."""
    if isinstance(value, dict):
        if "metric" in value:
            return {**value, "message": HOSTILE, "reason": HOSTILE}
        return {
            key: inner if _is_structural(key, inner) else poison(inner)
            for key, inner in value.items()
        }
    if isinstance(value, list):
        return [poison(inner) for inner in value]
    return value + HOSTILE if isinstance(value, str) else value


def _is_structural(key: str, value: Any) -> bool:
    return STRUCTURAL.fullmatch(key) is not None and not isinstance(value, dict)


def make_hostile(model: Json) -> FakeApiserver:
    """A fake whose objects are hostile in all that the apiserver lets one write, and more."""
    made = poison(copy.deepcopy(model))
    made["metadata"] |= {
        "name": "fraud",
        "annotations": {
            "kubernetes.io/change-cause": HOSTILE,
            "meta.helm.sh/release-name": HOSTILE,
        },
        "managedFields": [{"manager": "kustomize-controller"}],
    }
    foreign = {"name": HOSTILE, "namespace": "gateways"}
    made["spec"]["traffic"] = {"parentRefs": [foreign], "hostnames": [HOSTILE]}
    made["spec"]["rollout"]["steps"][0]["headers"] = [{"name": "x-a", "value": HOSTILE}]
    records = [{**poison(copy.deepcopy(one)), "metadata": one["metadata"]} for one in RECORDS]
    for record in records:
        record["spec"]["origin"] = {"source": {"kind": "Release", "name": HOSTILE}}
    pods = [{**poison(copy.deepcopy(one)), "metadata": one["metadata"]} for one in PODS]
    policy = {"metadata": {"annotations": {"canarium.dev/routers": "GatewayAPI"}}}
    listed = {"metadata": {"resourceVersion": "1"}, "items": [policy]}
    answers: dict[str, list[tuple[int, Json | str]]] = {
        f"GET {POLICIES.path()}": [(200, listed)],
        "GET /api/v1/namespaces/risk": [(200, {"metadata": {"name": "risk"}})],
    }
    return FakeApiserver(made, records, pods, react=answer, refusals=answers)


def answer(model: Json) -> Json:
    """An operator that acts on a command, and says hostile words of it."""
    handled = {
        key.removeprefix("canarium.dev/"): text
        for key, text in model["metadata"].get("annotations", {}).items()
        if key.startswith("canarium.dev/")
    }
    told = {"lastHandledCommands": handled, "message": HOSTILE, "ignoredCommands": {}}
    return {**model, "status": {**model["status"], **told}}


MANIFEST = {
    "apiVersion": "canarium.dev/v1alpha1",
    "kind": "ModelDeployment",
    "metadata": {"name": HOSTILE.replace("\ud800", "")},
    "spec": {
        "server": {"image": "registry.example.com/fraud:v7"},
        "rollout": {
            "steps": [
                {"name": "a", "weight": 5, "headers": [{"name": "x-a", "value": "1"}]},
            ]
        },
    },
}
READINGS = "block,stable_bad,stable_total,canary_bad,canary_total\n" + "".join(
    f'"{number}{HOSTILE.replace(chr(0xD800), "").replace(chr(0), "")}",1,900,800,900\n'
    for number in range(3)
)
PLACES = {
    "name": ["fraud"],
    "names": [],
    "file": ["FILE"],
    "shell": ["bash"],
    "to": [objects.V6],
    "timeout": ["300ms"],
    "revision": [objects.V7],
}
"Of each argument that a command may have: what to write for it. The rest is left out."
NOT_RUN = {("operator", "run")}
"The operator itself, whose log has tests of its own."


def list_commands() -> Iterator[tuple[str, ...]]:
    """Every command that there is, with each form of its output."""
    yield from _walk(make_parser(all_modules()), ())


def _walk(parser: argparse.ArgumentParser, words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, inner in action.choices.items():
                yield from _walk(inner, (*words, name))
            return
    if words in NOT_RUN:
        return
    needed = [a for a in parser._actions if a.required or a.dest in ("timeout", "file")]
    line = list(words)
    for action in needed:
        given = ["0.3"] if action.type is float else PLACES[action.dest]
        line += [*action.option_strings[:1], *given]
    yield tuple(line)
    for action in parser._actions:
        if action.dest == "output" and action.choices:
            yield from ((*line, "-o", form) for form in action.choices)
        elif action.dest == "revision" and action.option_strings:
            yield (*line, "--revision", objects.V7)


def find_harm(text: str) -> list[str]:
    """What a terminal should not get of a text, apart from ends of lines and tabs."""
    return [
        repr(letter)
        for letter in text
        if letter not in "\n\t" and unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Zl", "Zp")
    ]


COMMANDS = list(list_commands())


def test_every_command_is_among_those_that_are_tried() -> None:
    tried = {words[0] for words in COMMANDS}
    parser = make_parser(all_modules())
    known = next(a.choices for a in parser._actions if a.dest == "COMMAND" or a.choices)
    assert tried == set(known or ())


@pytest.mark.parametrize("terminal", [False, True], ids=["file", "terminal"])
@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_no_command_prints_what_steers_a_terminal_or_forges_a_line(
    words: tuple[str, ...],
    terminal: bool,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = tmp_path / "file"
    file.write_text(READINGS if "judge" in words else yaml.safe_dump(MANIFEST), "utf-8")
    line = [str(file) if word == "FILE" else word for word in words]
    monkeypatch.setenv("COLUMNS", "10000")  # a terminal of less breaks lines where words end
    if terminal:
        monkeypatch.setenv("FORCE_COLOR", "1")
        monkeypatch.setenv("TERM", "xterm-256color")
    for model in [objects.ROLLED_BACK] + [objects.HOLDING] * ("watch" not in words):
        with serve(make_hostile(model), tmp_path) as kubeconfig:
            monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
            main(line)
        said = capsys.readouterr()
        printed = OWN.sub("", said.out + said.err)
        assert (printed != "", find_harm(printed)) == (True, [])
        assert [one for one in printed.splitlines() if one.startswith(FORGED)] == []


@pytest.mark.parametrize("code", [400, 403, 404, 409, 422, 500, 503])
@pytest.mark.parametrize("words", [("get",), ("abort", "fraud"), ("status", "fraud", "-o", "json")])
def test_no_answer_of_a_server_does_either(
    code: int, words: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refusal = make_refusal(code, HOSTILE, HOSTILE, HOSTILE)
    for said in (refusal, HOSTILE.replace("\ud800", "")):
        refusals = {f"GET {MODELS}": [(code, said)] * 9, f"GET {MODELS}/fraud": [(code, said)] * 9}
        fake = FakeApiserver(copy.deepcopy(objects.HOLDING), refusals=refusals)
        with serve(fake, tmp_path) as kubeconfig:
            assert main([*words, "--kubeconfig", str(kubeconfig)]) == 2
        printed = capsys.readouterr().err
        assert (printed.count("\n"), find_harm(printed)) == (1, [])


def test_programs_get_every_letter_as_an_escape(capsys: pytest.CaptureFixture[str]) -> None:
    value = {"a": HOSTILE, "b": "Grüße, 世界 ✔"}
    assert json.loads(dump_json(value)) == value
    assert yaml.safe_load(dump_yaml({"a": HOSTILE[:-1], "b": value["b"]}))["a"] == HOSTILE[:-1]
    assert find_harm(dump_json(value) + dump_yaml(value)) == []
    assert "Grüße, 世界 ✔" in dump_json(value)
    assert "Grüße, 世界 ✔" in dump_yaml({"b": value["b"]})


def test_a_line_of_others_stays_one() -> None:
    assert flatten({"a": ["x\ny\u2028z\x1b[2J", 1]}) == {"a": ["x y z\\x1b[2J", 1]}
    assert clean("a\nb\tc\u3000d") == "a\nb\tc\u3000d"


def test_letters_that_a_terminal_has_not_end_no_command(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii", newline="\n")
    monkeypatch.setattr(sys, "stdout", stream)
    with open_door():
        sys.stdout.write("Grüße\n")
        sys.stdout.flush()
    assert (stream.buffer.getvalue(), sys.stdout) == (b"Gr\\xfc\\xdfe\n", stream)
    assert fit("世", "latin-1") == "\\u4e16"


def test_a_console_lets_its_own_colours_pass_and_nothing_of_others() -> None:
    file = io.StringIO()
    console = make_console(file, 200)
    console.print(HOSTILE)
    console.print(Text(HOSTILE), phase(HOSTILE))
    assert (file.getvalue() != "", find_harm(file.getvalue())) == (True, [])


def test_what_nobody_foresaw_is_cleaned_too(capsys: pytest.CaptureFixture[str]) -> None:
    with open_door():
        pass
    error = ValueError(HOSTILE)
    sys.excepthook(ValueError, error, None)
    printed = capsys.readouterr().err
    assert ("ValueError" in printed, find_harm(printed)) == (True, [])


@pytest.mark.parametrize("what", ["models", "revisions", "namespaces"])
def test_no_hostile_name_is_put_into_the_line_that_is_typed(
    what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def ask(_what: str, _arguments: argparse.Namespace) -> list[str]:
        await asyncio.sleep(0)
        return [HOSTILE, "v\x1b7", "v\n7", "v7"]

    monkeypatch.setattr(suggestions, "_ask", ask)
    assert suggest(what, "", argparse.Namespace()) == ["v7"]
