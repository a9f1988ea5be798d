"""When a pod's use at rest is known: two looks, one after the other, that say the same."""

from testbed.scenario.scaling import is_steady


def test_one_look_says_nothing_and_neither_does_the_same_one_again() -> None:
    looks: dict[str, int] = {}

    assert [is_steady(looks, {"t1": 15}) for _ in range(3)] == [False] * 3


def test_a_pod_that_still_starts_is_not_steady() -> None:
    looks: dict[str, int] = {}
    use = {"t1": 400, "t2": 90, "t3": 19, "t4": 16}

    told = [is_steady(looks, {at: millicores}) for at, millicores in use.items()]

    assert told == [False, False, False, True]
    assert looks == use


def test_no_figure_yet_is_no_look() -> None:
    assert not is_steady({}, {})
