"""The faults that the crash tests play: hard on an operator, and such that one can get past."""

import pytest

from tests.crash.faults import LostAnswers, RefusedWatches
from tests.crash.proxy import Answer, Call, refuse

DELETE = Call("DELETE", "/deployments/iris-1", "deployments", "iris-1")
CREATE = Call("POST", "/deployments", "deployments", "")
LEASE = Call("PUT", "/leases/canarium", "leases", "canarium")
DONE = Answer(200, b"{}")


async def test_a_delete_and_its_create_take_turns_and_both_get_through() -> None:
    fault = LostAnswers()
    fault.begin()
    answers = [await fault.release(call, DONE) for call in (DELETE, CREATE) * 2]
    assert answers == [None, None, DONE, DONE]
    assert fault.struck == 2


@pytest.mark.parametrize("call", [DELETE, CREATE])
async def test_a_write_never_loses_two_answers_in_a_row(call: Call) -> None:
    fault = LostAnswers()
    fault.begin()
    assert [await fault.release(call, DONE) for _ in range(4)] == [None, DONE, None, DONE]


async def test_the_create_that_did_it_is_answered_when_it_comes_again() -> None:
    fault = LostAnswers()
    fault.begin()
    exists, gone = refuse(409, "AlreadyExists"), refuse(404, "NotFound")
    story = [(CREATE, DONE), (CREATE, exists), (DELETE, DONE), (DELETE, gone), (CREATE, DONE)]
    answers = [await fault.release(call, answer) for call, answer in story]
    assert answers == [None, exists, None, gone, DONE]


async def test_nothing_is_lost_before_it_begins_nor_of_what_is_no_rollouts() -> None:
    fault = LostAnswers()
    assert await fault.release(CREATE, DONE) is DONE
    fault.begin()
    assert await fault.release(LEASE, DONE) is DONE
    assert fault.struck == 0


async def test_watches_that_take_turns_are_both_taken_up_again() -> None:
    pods = Call("GET", "/pods", "pods", "", watch=True)
    services = Call("GET", "/services", "services", "", watch=True)
    fault = RefusedWatches()
    fault.begin()
    found = [await fault.admit(call) for call in (pods, services) * 2]
    assert [answer and answer.status for answer in found] == [410, 410, None, None]
