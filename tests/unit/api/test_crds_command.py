import argparse
import pathlib

import pytest
import yaml
from canarium.api.schema import render_crds
from canarium.cli.commands import crds


def run(*words: str) -> int:
    parser = argparse.ArgumentParser()
    crds.add_parser(parser.add_subparsers())
    arguments = parser.parse_args(["crds", *words])
    code: int = arguments.run(arguments)
    return code


def test_crds_are_printed_as_one_stream(capsys: pytest.CaptureFixture[str]) -> None:
    assert run() == 0
    shown = list(yaml.safe_load_all(capsys.readouterr().out))
    assert shown == [yaml.safe_load(text) for text in render_crds().values()]


def test_crds_are_written_into_a_new_directory(tmp_path: pathlib.Path) -> None:
    assert run("--output", str(tmp_path / "new")) == 0
    written = {path.name: path.read_text() for path in (tmp_path / "new").iterdir()}
    assert written == render_crds()


def test_a_directory_that_was_written_passes_the_check(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("--output", str(tmp_path))
    assert run("--check", str(tmp_path)) == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("fault", ["changed", "missing", "surplus"])
def test_a_check_names_the_file_that_differs_and_the_cure(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str], fault: str
) -> None:
    run("--output", str(tmp_path))
    name = "old.yaml" if fault == "surplus" else "canarium.dev_modelrevisions.yaml"
    if fault == "missing":
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_text("kind: Other\n")
    assert run("--check", str(tmp_path)) == 1
    assert capsys.readouterr().err == (
        f"{tmp_path / name} is not what the models generate\n"
        f"write it anew with: canarium crds --output {tmp_path}\n"
    )


def test_the_reference_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--reference") == 0
    assert "`spec.server.image`" in capsys.readouterr().out
