import json
import logging
import subprocess
import sys
from typing import Any

import pytest
from canarium import __version__
from canarium.cli.main import main
from canarium.errors import ConfigError
from canarium.telemetry.logs import MOST_CHARACTERS, JsonFormatter, TextFormatter


def make_record(**extra: Any) -> logging.LogRecord:
    record = logging.LogRecord(
        "canarium.shell.controller", logging.INFO, "x.py", 1, "%s shifted", ("20 %",), None
    )
    record.created = 1_700_000_000.25
    record.__dict__.update(extra)
    return record


FIELDS = {"object": "risk/fraud", "phase": "Progressing", "state": "Shifting", "reason": ""}


def test_text_is_one_line_for_people() -> None:
    assert TextFormatter().format(make_record(**FIELDS)) == (
        "2023-11-14T22:13:20.250Z INFO risk/fraud: 20 % shifted (phase=Progressing state=Shifting)"
    )


def test_json_is_one_object_a_line_for_machines() -> None:
    assert json.loads(JsonFormatter().format(make_record(**FIELDS))) == {
        "time": "2023-11-14T22:13:20.250Z",
        "level": "info",
        "logger": "canarium.shell.controller",
        "message": "20 % shifted",
        "object": "risk/fraud",
        "phase": "Progressing",
        "state": "Shifting",
    }


def test_tracebacks_are_in_both() -> None:
    error = ConfigError("no such file")
    record = make_record(exc_info=(ConfigError, error, None))
    texts = [formatter.format(record) for formatter in (TextFormatter(), JsonFormatter())]
    assert ["ConfigError: no such file" in text for text in texts] == [True, True]


FORGED = "7\n2023-11-14T22:13:21Z INFO risk/fraud: promoted\u2028\x1b[2K"
ESCAPED = r"7\n2023-11-14T22:13:21Z INFO risk/fraud: promoted\u2028\x1b[2K"


def test_nothing_that_others_wrote_looks_like_a_line_or_steers_a_terminal() -> None:
    record = make_record(
        args=(FORGED,), version=FORGED, exc_info=(ConfigError, ConfigError(FORGED), None)
    )
    first, *rest = TextFormatter().format(record).split("\n")
    assert first == f"2023-11-14T22:13:20.250Z INFO {ESCAPED} shifted (version={ESCAPED})"
    assert {line[:4] for line in rest} == {"  | "}
    (line,) = JsonFormatter().format(record).splitlines()
    assert json.loads(line)["message"] == f"{ESCAPED} shifted"
    assert line.isprintable()


def test_no_line_of_the_log_is_as_long_as_others_like() -> None:
    error = ConfigError("x" * 5_000_000)
    record = make_record(args=("y" * 5_000_000,), exc_info=(ConfigError, error, None))
    for formatter in (TextFormatter(), JsonFormatter()):
        assert len(formatter.format(record)) < 4 * MOST_CHARACTERS


def test_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert (main(["version"]), capsys.readouterr().out) == (0, f"canarium {__version__}\n")


def test_what_a_person_can_mend_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["operator", "run", "--kubeconfig", "/nowhere/config"])
    assert (code, capsys.readouterr().err) == (
        2,
        "canarium: no kubeconfig at /nowhere/config: name one with --kubeconfig or $KUBECONFIG\n",
    )


def test_without_a_command_the_help_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "operator" in capsys.readouterr().out


def test_the_version_costs_no_heavy_import() -> None:
    code = (
        "import sys; from canarium.cli.main import main; main(['version']);"
        "print(sorted({'kopf', 'aiohttp', 'pydantic', 'kubernetes'} & set(sys.modules)))"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout
    assert output.decode().splitlines()[-1] == "[]"
