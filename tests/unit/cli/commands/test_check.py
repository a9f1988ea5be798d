"""`canarium operator check`, against a real HTTP server."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from canarium.cli.main import main

from testbed.servers.loopback import QuietHandler, listening


@contextmanager
def answering(*answers: tuple[int, str]) -> Iterator[str]:
    """A server that gives these answers, the last of them again and again; its address."""
    left = list(answers)

    class Handler(QuietHandler):
        def respond(self) -> None:
            status, text = left.pop(0) if len(left) > 1 else left[0]
            self.answer(text, status)

    with listening(Handler) as address:
        yield address


def check(address: str, timeout: str = "0") -> int:
    return main(["operator", "check", "--address", address, "--timeout", timeout])


@pytest.mark.parametrize(
    ("status", "text", "code"),
    [
        (200, "ok\n", 0),
        (503, "pods: not listed yet (no answer)\n", 1),
        (200, "ok\nnamespace b is not served: 403 Forbidden: no\n", 1),
    ],
)
def test_the_exit_code_says_whether_the_operator_wants_for_something(
    status: int, text: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with answering((status, text)) as address:
        assert check(address) == code
    assert capsys.readouterr().out == text


def test_an_operator_that_becomes_ready_is_waited_for() -> None:
    with answering((503, "not yet\n"), (200, "ok\n")) as address:
        assert check(address, timeout="30") == 0


def test_no_operator_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert check("127.0.0.1:1") == 1
    assert capsys.readouterr().out.startswith("no operator answers at 127.0.0.1:1: ")


def test_what_is_no_address_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert check("nowhere:http") == 2
    assert "'nowhere:http' is not host:port" in capsys.readouterr().err
