"""Notifications with a real Secret and Role: a rollout doesn't wait for them, and they come."""

import json
import queue
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from testbed.operators.grants import grant
from testbed.programs.processes import wait_until
from testbed.rights.ledger import expect_refusal
from testbed.rights.requests import Right, read_asked
from testbed.scenario.manifests import Json, rollout, simulated
from testbed.scenario.scenario import Scenario, phase, serves
from testbed.servers.loopback import QuietHandler, listening

pytestmark = [pytest.mark.timeout(420, func_only=True)]
SECONDS = 90.0
HOOK = {"name": "hook", "type": "Webhook", "secretRef": {"name": "chat", "key": "hook"}}
ARRIVAL_SECONDS = 90.0
SECRET = Right("", "secrets", "get")


@dataclass
class Receiver:
    """Where it is, and what came."""

    url: str = ""
    came: "queue.SimpleQueue[Json]" = field(default_factory=queue.SimpleQueue)

    def next_types(self, count: int) -> list[str]:
        """The types of the next events, without what they have in common."""
        found = [self.came.get(timeout=ARRIVAL_SECONDS)["type"] for _ in range(count)]
        return [each.removeprefix("dev.canarium.rollout.").removesuffix(".v1") for each in found]


@contextmanager
def receiving() -> Iterator[Receiver]:
    receiver = Receiver()

    class Handler(QuietHandler):
        def respond(self) -> None:
            receiver.came.put(json.loads(self.read_body()))
            self.answer(status=204)

    with listening(Handler) as address:
        receiver.url = f"http://{address}/a-secret-path"
        yield receiver


def is_refused(rehearsal: Scenario) -> bool:
    """Whether the operator has asked for the Secret with the address, by the audit log."""
    log = rehearsal.cluster.audit_log
    assert log is not None
    return any(
        (refusal.namespace, refusal.right) == (rehearsal.namespace, SECRET)
        for refusal in read_asked(log).refused
    )


def wanted(tag: str) -> Json:
    terms = rollout((50, "1s"), guard={"duration": "0s"})
    return simulated(tag, rollout=terms, notifications=[HOOK])


def test_a_rollout_is_told_once_a_role_lets_the_operator_have_the_address(
    rehearsal: Scenario,
) -> None:
    with receiving() as receiver:
        rehearsal.apply(wanted("v1"))
        rehearsal.wait(phase("Healthy"), SECONDS)
        rehearsal.apply(wanted("v2"))
        rehearsal.wait(serves("v2"), SECONDS)
        assert wait_until(lambda: is_refused(rehearsal), SECONDS)
        assert receiver.came.empty()
        why = "nobody has opened the Secret yet"
        expect_refusal(rehearsal.cluster, rehearsal.namespace, SECRET, why)

        grant(rehearsal, "chat", hook=receiver.url)

        assert receiver.next_types(2) == ["started", "promoted"]
        rehearsal.apply(wanted("v3"))
        assert receiver.next_types(2) == ["started", "promoted"]
    assert "a-secret-path" not in rehearsal.tell()
