"""The operator's log of whole rollouts: exactly these lines, in the very words of the events.

`CANARIUM_GOLDEN=write` writes the files anew: look before keeping.
"""

import json
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from canarium.core.plan import Event
from canarium.sim.controllers.pods import Behaviour
from canarium.telemetry.logs import JsonFormatter, TextFormatter

from tests.simulated.play import KEY, Play, serving

GOLDEN = Path(__file__).parents[1] / "golden" / "logs"
TIME_LENGTH = len("2027-01-15T08:00:00.000Z ")


class Lines(logging.Handler):
    """Keeps what the controller logs at info and above."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    @property
    def texts(self) -> list[str]:
        """As text, without the time of day."""
        return [TextFormatter().format(record)[TIME_LENGTH:] for record in self.records]

    @property
    def messages(self) -> list[str]:
        """What JSON has as the message."""
        return [json.loads(JsonFormatter().format(record))["message"] for record in self.records]


@pytest.fixture
def lines() -> Iterator[Lines]:
    logger, handler = logging.getLogger("canarium.shell.controller"), Lines()
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield handler
    logger.removeHandler(handler)
    logger.setLevel(before)


def compare(name: str, lines: list[str]) -> None:
    file, text = GOLDEN / f"{name}.txt", "".join(f"{line}\n" for line in lines)
    if os.environ.get("CANARIUM_GOLDEN") == "write":
        file.write_text(text)
    assert text == file.read_text()


def promote(play: Play) -> None:
    play.want("2")
    play.until("Idle", "2")
    play.rest()


def roll_back(play: Play) -> None:
    play.pods.behave("2", Behaviour(failing="Crash"))
    play.want("2")
    play.until("Rejected")
    play.rest()


def wait_for_approval(play: Play) -> None:
    play.want("2", steps=(), guard="0s", strategy="BlueGreen")
    play.until_waiting()
    play.ask("promote", "2")
    play.until("Idle", "2")
    play.rest()


def meet_a_quota(play: Play) -> None:
    play.pods.set_quota(3)
    play.want("2")
    play.run(30.0)
    play.pods.set_quota(None)
    play.until("Idle", "2")
    play.rest()


def cancel(play: Play) -> None:
    play.want("2")
    play.until_weight(50)
    play.want("1")
    play.until("Idle", "1")
    play.ask("abort", "1")
    play.rest()


PLAYS = [promote, roll_back, wait_for_approval, meet_a_quota, cancel]


def told(play: Play) -> list[Event]:
    return [event for key, event in play.events if key == KEY]


@pytest.mark.parametrize("act", PLAYS)
def test_a_rollout_is_told_in_exactly_these_lines_which_are_its_events(
    act: Callable[[Play], None], lines: Lines
) -> None:
    with serving() as play:
        lines.records.clear()
        before = len(told(play))
        act(play)
        assert lines.messages == [event.message for event in told(play)[before:]]
    compare(act.__name__, lines.texts)


def test_status_says_what_the_log_says_while_it_waits_or_is_hindered(lines: Lines) -> None:
    with serving() as play:
        play.pods.set_quota(3)
        play.want("2")
        play.run(30.0)
        assert play.status(KEY)["message"] == lines.messages[-1]
        play.pods.set_quota(None)
        play.want("3", steps=(), strategy="BlueGreen")
        play.until_waiting()
        play.run(1.0)
        assert play.status(KEY)["message"] == lines.messages[-1]


def test_an_object_at_rest_is_not_logged(lines: Lines) -> None:
    with serving() as play:
        play.rest()
        lines.records.clear()
        play.resync()
        play.run(600.0)
    assert lines.texts == []
