"""What is drawn is different each time, reaches every place, and is mostly of some use."""

import random
from collections import Counter

import pytest

from tests.fuzz.drawing import Change, draw, has, put
from tests.fuzz.schemas import make_values
from tests.fuzz.test_any_object import NODES, PLACES, SCHEMA, WHOLE, draw_objects

pytestmark = pytest.mark.timeout(300)
QUANTITY = next(schema for path, schema in NODES if path[-2:] == ("limits", "memory"))


def test_a_number_draws_the_same_every_time() -> None:
    values = make_values(QUANTITY)
    assert [draw(values, number) for number in range(20)] == [
        draw(values, number) for number in range(20)
    ]


def test_a_quantity_is_an_integer_as_often_as_a_text_and_often_one_of_sixteen_digits() -> None:
    values = make_values(QUANTITY)
    found = [draw(values, number) for number in range(200)]
    integers = [value for value in found if isinstance(value, int)]
    assert 60 < len(integers) < 140
    assert sum(value >= 10**15 for value in integers) > 20


def test_every_place_has_its_turn() -> None:
    turns = PLACES.take_turns(random.Random(0))
    assert {next(turns)[0] for _ in range(2 * len(NODES))} == {path for path, _ in NODES}


def test_hardly_any_object_is_drawn_twice() -> None:
    bodies: Counter[str] = Counter()
    drawn = draw_objects(100, 0)
    body = next(drawn)
    for _ in range(99):
        bodies[repr(body["spec"])] += 1
        body = drawn.send(True)
    assert len(bodies) > 90


def test_what_is_put_somewhere_takes_away_what_excludes_it() -> None:
    body = {"livenessProbe": {"grpc": {"port": 9000}}}
    schema = SCHEMA["properties"]["server"]
    put(body, schema, Change(("livenessProbe", "tcpSocket", "port"), 1, 0), WHOLE["server"])
    assert (has(body, ("livenessProbe", "grpc")), has(body, ("livenessProbe", "tcpSocket"))) == (
        False,
        True,
    )
