"""What the shell completes, asked as kubectl and as bash ask."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import argcomplete
import pytest
from canarium.cli import suggestions
from canarium.cli.commands.completion import NAMES, complete_for_kubectl, suggest_words
from canarium.cli.main import COMMANDS, main

from tests.unit.cli import objects
from tests.unit.cli.fake_apiserver import FakeApiserver, serve, write_kubeconfig
from tests.unit.cli.objects import RECORDS, V6, V7

assert argcomplete, "imported before any test puts a stream of its own in the place of stderr"


def test_the_commands_come_first() -> None:
    assert suggest_words([""]) == [*COMMANDS, "version"]
    assert suggest_words(["re"]) == ["retry", "restart", "resume"]


def test_options_come_when_they_are_begun() -> None:
    assert suggest_words(["promote", "--s"]) == ["--step"]
    assert suggest_words(["get", "-o", ""]) == ["json", "yaml"]
    assert suggest_words(["completion", ""]) == ["bash", "zsh", "fish"]


def test_names_come_from_the_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suggestions, "PATIENCE_SECONDS", 40.0)  # a shell is not kept so long
    with serve(FakeApiserver(objects.HOLDING, list(RECORDS)), tmp_path) as kubeconfig:
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
        assert suggest_words(["status", ""]) == ["fraud"]
        assert suggest_words(["status", "x"]) == []
        assert suggest_words(["rollback", "fraud", "--to", ""]) == [V6, V7]
        assert suggest_words(["status", "--context", ""]) == ["here"]


def test_a_cluster_that_is_away_suggests_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(write_kubeconfig(tmp_path, "http://127.0.0.1:1")))
    assert suggest_words(["status", ""]) == []


def test_kubectl_is_answered_in_its_own_form(capsys: pytest.CaptureFixture[str]) -> None:
    complete_for_kubectl(["pau"])
    assert capsys.readouterr().out == "pause\n:4\n"
    complete_for_kubectl(["explain", "exa"])
    assert capsys.readouterr().out == ":0\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_is_printed_for_each_shell(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    assert all(name in capsys.readouterr().out for name in NAMES[:1])


SCRIPT = """
set -e
source <({canarium} completion bash)
COMP_LINE='canarium pau' COMP_POINT=12 COMP_TYPE=9 COMP_WORDS=(canarium pau) COMP_CWORD=1
{define}
_python_argcomplete canarium pau canarium
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_completes_by_the_script(tmp_path: Path) -> None:
    program = tmp_path / "canarium"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m canarium "$@"\n')
    program.chmod(0o755)
    script = SCRIPT.format(canarium=program, define="compopt() { return 1; }")
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-c", script],
        capture_output=True, text=True, check=True, env=environment, timeout=50,
    )  # fmt: skip
    assert done.stdout.split() == ["pause"]
