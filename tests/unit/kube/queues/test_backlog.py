from collections.abc import Iterable

import pytest
from canarium.kube.queues.backlog import URGENT_IN_A_ROW, Backlog, crowd_out

A, B = ("a", "fraud"), ("b", "churn")


def fill(*items: tuple[tuple[str, str], str]) -> Backlog[str]:
    """A backlog of these texts in order; those in capitals are urgent."""
    backlog: Backlog[str] = Backlog()
    for key, text in items:
        backlog.put(key, text, urgent=text.isupper())
    return backlog


def empty(backlog: Backlog[str]) -> Iterable[str]:
    while backlog:
        yield backlog.pop()


def test_who_comes_last_waits_for_one_of_each_namespace() -> None:
    backlog = fill(*((A, f"a{n}") for n in range(3)), (B, "b0"), (B, "b1"))
    assert list(empty(backlog)) == ["a0", "b0", "a1", "b1", "a2"]


def test_what_is_urgent_goes_first_with_what_came_before_of_the_same_object() -> None:
    backlog = fill((A, "a0"), (A, "a1"), (B, "started"), (B, "ROLLED BACK"), (B, "after"))
    assert list(empty(backlog)) == ["started", "ROLLED BACK", "a0", "after", "a1"]


def test_a_stream_of_urgent_things_does_not_end_everything_else() -> None:
    backlog = fill(*((("a", f"m{n}"), f"A{n}") for n in range(9)), (B, "b0"), (B, "b1"))
    order = list(empty(backlog))
    assert [order.index("b0"), order.index("b1")] == [URGENT_IN_A_ROW, 2 * URGENT_IN_A_ROW + 1]


def test_what_is_put_back_is_the_next_of_its_object_and_others_come_between() -> None:
    backlog = fill((A, "a0"), (A, "a1"), (B, "b0"))
    first = backlog.pop()
    backlog.put_back(A, first, urgent=False)
    assert (first, list(empty(backlog))) == ("a0", ["b0", "a0", "a1"])


def test_an_empty_backlog_says_so() -> None:
    backlog = fill((A, "a0"))
    assert (backlog.pop(), len(backlog), dict(backlog.sizes)) == ("a0", 0, {})
    with pytest.raises(IndexError):
        backlog.pop()


CASES = {
    "there is room": (["a0", "a1"], 2, None),
    "alone, the newest goes": (["a0", "a1", "a2"], 2, "a2"),
    "alone, what is urgent stays": (["a0", "a1", "A2"], 2, "a1"),
    "alone, all of it urgent": (["A0", "A1", "A2"], 2, "A2"),
    "who has most gives way": (["a0", "a1", "b0"], 2, "a1"),
    "even what is urgent": (["A0", "A1", "b0"], 2, "A1"),
    "of two that have the same, the newcomer": (["a0", "b0", "c0", "b1"], 3, "b1"),
    "it has the same as another then": (["a0", "a1", "b0", "b1"], 3, "b1"),
}


@pytest.mark.parametrize("case", CASES)
def test_who_gives_way_where_there_is_no_room(case: str) -> None:
    texts, most, want = CASES[case]
    keys = {text: (text[0].lower(), "fraud") for text in texts}
    backlog = fill(*((keys[text], text) for text in texts))
    newcomer = keys[texts[-1]][0]
    assert crowd_out([backlog], most, newcomer) == want
    assert sorted(empty(backlog)) == sorted(text for text in texts if text != want)


def test_several_backlogs_have_one_room_together() -> None:
    mine, shared = fill((A, "a0"), (A, "a1")), fill((A, "a2"), (B, "b0"))
    assert crowd_out([mine, shared], 3, "b") == "a1"
    assert crowd_out([mine, shared], 3, "b") is None
