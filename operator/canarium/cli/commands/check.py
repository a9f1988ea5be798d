"""`canarium operator check`: asks a running operator whether it is ready; `helm test` does that."""

from __future__ import annotations

import argparse
import http.client
import sys
import time
from typing import Any

from canarium.errors import CommandError

ANSWER_SECONDS = 5.0
BETWEEN_SECONDS = 1.0


def add_parser(verbs: Any) -> None:
    """Add the command to those of `canarium operator`."""
    parser = verbs.add_parser(
        "check",
        help="ask a running operator whether it is ready",
        description="Print what keeps the operator from being ready and what it does without."
        " The exit code is 0 when there is nothing of either.",
    )
    parser.add_argument("--address", metavar="HOST:PORT", default="127.0.0.1:8080")
    parser.add_argument(
        "--timeout", metavar="SECONDS", type=float, default=30.0, help="how long to ask (30)"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Ask until it is ready or the time is over; 0 when it wants for nothing, else 1."""
    end = time.monotonic() + arguments.timeout
    while True:
        status, said = ask(arguments.address)
        if status == http.client.OK or time.monotonic() >= end:
            break
        time.sleep(BETWEEN_SECONDS)
    sys.stdout.write(said)
    return 0 if (status, said) == (http.client.OK, "ok\n") else 1


def ask(address: str) -> tuple[int, str]:
    """The status (0: no answer) and the text of /readyz."""
    connection = _connect(address)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        return 0, f"no operator answers at {address}: {error}\n"
    finally:
        connection.close()


def _connect(address: str) -> http.client.HTTPConnection:
    try:
        return http.client.HTTPConnection(address, timeout=ANSWER_SECONDS)
    except http.client.InvalidURL as error:
        raise CommandError(f"--address: {address!r} is not host:port ({error})") from error
