"""Whatever a server answers, reading it costs a bounded amount, and nothing of it stays."""

import asyncio
import gc
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from canarium.metrics.counters import (
    MAX_BOUNDS,
    MAX_LINE,
    MAX_LINES,
    Counters,
    Parser,
    UnreadableMetricsError,
    get_only,
)
from canarium.metrics.counting import CountsTracker, SeriesTracker
from canarium.metrics.recollection import MOST_OF_ONE, Recollection, RecollectionBudget
from canarium.metrics.sources.prometheus import (
    MAX_LABELS,
    MAX_SERIES,
    PrometheusSource,
    read_result,
)
from canarium.metrics.sources.web import MAX_LOOKS, WEB_LIMITS, read_number
from canarium.outbound.errors import SourceError
from canarium.outbound.fetching import Answer, Limits, OutboundRequest, fetching
from canarium.outbound.sharing import SLICE_SECONDS, Held, LoopTurns, Room, Shares
from canarium.queries.profiles import PROFILES
from yarl import URL

from tests.security.answers import ANSWERS
from tests.unit.outbound.serving import answering, make_local_session, serving

LINE = b'http_requests_total{code="200",path="%s"} 1\n'


def parse_in_pieces(text: bytes, size: int) -> Counters:
    page = Parser(PROFILES["Prometheus"]).open()
    for start in range(0, len(text), size):
        for _ in page.feed(text[start : start + size]):
            pass
    return get_only(page)


def find_least_cost(do: Callable[[], object]) -> float:
    """Seconds of the processor that it takes: a collection of garbage may fall into one try."""
    spent = []
    for _ in range(3):
        began = time.process_time()
        do()
        spent.append(time.process_time() - began)
    return min(spent)


# Pages of metrics


@pytest.mark.parametrize("name", sorted(name for name, (kind, _) in ANSWERS.items() if "/" in kind))
def test_no_hostile_page_is_remembered(name: str) -> None:
    budget = RecollectionBudget()
    parser = Parser(PROFILES["Prometheus"], budget)
    for _ in range(3):
        with suppress(UnreadableMetricsError):
            parser.parse(ANSWERS[name][1]())
    assert budget.size <= MOST_OF_ONE


@pytest.mark.parametrize("size", [1, 7, 64 * 1024])
def test_a_page_says_the_same_however_it_comes(size: int) -> None:
    text = b"# TYPE http_requests_total counter\n" + b"".join(LINE % b"/a" for _ in range(50))
    assert parse_in_pieces(text, size) == Parser(PROFILES["Prometheus"]).parse(text)
    assert parse_in_pieces(text.rstrip(b"\n"), size).requests == 50


@pytest.mark.parametrize("size", [1000, 64 * 1024, 10 * MAX_LINE])
@pytest.mark.parametrize("begin", [b"# HELP ", b"other_total ", b'http_requests_total{code="'])
def test_a_long_line_is_refused_by_name_wherever_it_is(begin: bytes, size: int) -> None:
    longest = begin + b"x" * (MAX_LINE - len(begin))
    for before in (0, 5, 3_000):
        text = LINE % b"/a" * before + longest + b"y\n" + LINE % b"/b"
        with pytest.raises(UnreadableMetricsError, match="a line longer than 32 KiB"):
            parse_in_pieces(text, size)
    if begin.startswith(b"#"):
        text = LINE % b"/a" * 5 + longest + b"\n" + LINE % b"/b"
        assert parse_in_pieces(text, size).requests == 6


def test_lines_without_end_are_refused_by_name() -> None:
    with pytest.raises(UnreadableMetricsError, match=f"more than {MAX_LINES} lines"):
        parse_in_pieces(LINE % b"/a" + b"\n" * MAX_LINES, 64 * 1024)


def test_a_histogram_has_so_many_bounds_and_no_more() -> None:
    bucket = b'http_request_duration_seconds_bucket{le="%s"} 1\n'
    most = b"".join(bucket % str(n).encode() for n in range(1, MAX_BOUNDS)) + bucket % b"+Inf"
    assert len(parse_in_pieces(most, 1000).latency or ()) == MAX_BOUNDS
    with pytest.raises(UnreadableMetricsError, match="a histogram with more than 256 bounds"):
        parse_in_pieces(most + bucket % b"0.5", 1000)


def test_a_model_servers_large_page_is_read() -> None:
    """Triton's with many models: two MiB, and thousands of series that are counted."""
    own = b"".join(
        b'nv_inference_request_success{model="m%03d",version="%d"} 2\n' % (model, version)
        for model in range(400)
        for version in range(5)
    )
    others = b"".join(
        b'nv_inference_%s_duration_us{model="m%03d",version="%d"} 123456\n' % (kind, model, version)
        for kind in (b"queue", b"compute_input", b"compute_infer", b"compute_output", b"request")
        for model in range(600)
        for version in range(12)
    )
    text = others[: others.rfind(b"\n", 0, len(others) // 2) + 1] + own + others
    assert len(text) > 2 * 1024 * 1024
    found = Parser(PROFILES["Triton"]).parse(text)
    assert found.requests == 4_000


def test_what_is_remembered_of_texts_is_bounded_by_their_bytes() -> None:
    learnt: list[bytes] = []
    budget = RecollectionBudget(most=2 * MOST_OF_ONE)

    def learn(text: bytes) -> int:
        learnt.append(text)
        return len(text)

    alone = Recollection(learn, RecollectionBudget(100 * MOST_OF_ONE))
    several = [Recollection(learn, budget) for _ in range(5)]
    for number in range(6_000):
        for one in (alone, *several):
            assert one[b"%0500d" % number] == 500
        assert alone.size <= MOST_OF_ONE
        assert budget.size <= 2 * MOST_OF_ONE
    again = several[0]
    assert again[b"x"] == 1
    learnt.clear()
    assert (again[b"x"], again[b"y" * 5000], again[b"y" * 5000]) == (1, 5000, 5000)
    assert learnt == [b"y" * 5000] * 2  # too long to be remembered


def test_what_is_asked_for_again_and_again_is_not_learnt_anew() -> None:
    learnt: list[bytes] = []

    def learn(text: bytes) -> int:
        learnt.append(text)
        return 1

    one = Recollection(learn, RecollectionBudget(), most=200_000)
    for number in range(2_000):
        one[b"always"]
        one[b"%d" % number]
    assert learnt.count(b"always") == 1
    assert one.size <= 200_000


def test_who_is_gone_is_not_counted_any_more() -> None:
    budget = RecollectionBudget()
    one = Recollection(len, budget)
    one[b"text"]
    assert budget.size > 0
    del one
    gc.collect()
    assert budget.size == 0


# Prometheus


def make_vector(*metrics: str) -> bytes:
    results = ",".join(f'{{"metric":{{{metric}}},"value":[1,"5"]}}' for metric in metrics)
    head = '{"status":"success","data":{"resultType":"vector","result":['
    return (head + results + "]}}").encode()


def test_so_many_ordinary_series_are_read() -> None:
    labels = '"namespace":"risk","pod":"fraud-%010d-abcde","path":"/v1/models/{id}/%s"'
    found = read_result(
        Answer(200, make_vector(*(labels % (n, "x" * 40) for n in range(MAX_SERIES))))
    )
    assert len(found) == MAX_SERIES


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (make_vector('"a":"' + "x" * MAX_LABELS + '"'), "a series whose labels are longer than"),
        (make_vector(*(f'"a":"{n}"' for n in range(MAX_SERIES + 1))), "2001 series, more than"),
        (ANSWERS["prometheus-empty"][1](), "more than 2000 series: aggregate them"),
        (ANSWERS["prometheus-labels"][1](), "more labels than are read: aggregate the series"),
        (ANSWERS["deep"][1](), "nested too deeply|can't be read"),
    ],
)
def test_what_is_too_much_is_refused_by_name_before_it_costs(body: bytes, message: str) -> None:
    def read() -> None:
        with pytest.raises(SourceError, match=message):
            read_result(Answer(200, body))

    assert find_least_cost(read) < 0.1


def test_series_are_followed_up_to_a_number_for_all() -> None:
    room = Room(30, 20)
    one, other = CountsTracker(room, "risk"), CountsTracker(room, "fraud")
    for _ in range(3):
        one.compute_counts({}, {(("pod", f"{n}"),): 1.0 for n in range(20)})
        other.compute_counts({}, {(("pod", str(n)),): 1.0 for n in range(10)})
    assert room.total == 30
    with pytest.raises(SourceError, match="more series than are followed at once: aggregate"):
        one.compute_counts({}, {(("pod", "new"),): 1.0})
    other.compute_counts({}, {(("pod", "new"),): 1.0})  # it has less than its share
    del one
    assert room.total == 11


async def test_what_is_followed_of_a_series_is_a_digest() -> None:
    body = make_vector('"pod":"' + "x" * 5_000 + '"', '"pod":"b"', '"pod":"c"').replace(
        b'"c"},"value":[1,"5"]', b'"c"},"value":[1,"NaN"]'
    )
    async with serving(answering(body)) as url, make_local_session() as session:
        found = await PrometheusSource(session, url).query_counters("up")
        assert await PrometheusSource(session, url).query_counters("up") == found
    assert [(len(each), value) for each, value in found.items()] == [(16, 5.0), (16, 5.0)]


def test_series_that_are_forgotten_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("canarium.metrics.counting.MAX_REMEMBERED", 3)
    room = Room(10, 10)
    tracker = SeriesTracker(Held(room, "risk"))
    for number in range(30):
        tracker.compute_increase({(("pod", str(number)),): 1.0})
    assert room.total == 3
    for value in (2.0, 1.0, 2.0, 1.0, 2.0):
        tracker.compute_increase({(("pod", "29"),): value})
    with pytest.raises(SourceError, match="falls again and again"):
        tracker.compute_increase({(("pod", "29"),): 1.0, (("pod", "new"),): 1.0})
    assert room.total == len(tracker._followed) == 3


# JSON


def test_a_path_that_searches_looks_at_so_many_values_and_no_more() -> None:
    wide = Answer(200, ANSWERS["wide"][1]())

    def search() -> None:
        with pytest.raises(
            SourceError, match=r"has more values than .* may search: name the place"
        ):
            read_number(wide, "$..[?@.a==1]")

    assert find_least_cost(search) < 0.1
    assert read_number(wide, "$.v[60000]") == 1
    some = Answer(200, b'{"v":[' + b'{"a":1,"b":2},' * 1000 + b'{"a":3,"b":4}]}')
    assert read_number(some, "$.v[?@.a==3].b") == 4
    assert MAX_LOOKS >= 20 * 3_000


# Sharing


async def test_between_two_slices_the_loop_goes_round() -> None:
    turns, rounds = LoopTurns(), 0

    def work() -> Iterator[None]:
        for _ in range(10):
            until = time.perf_counter() + SLICE_SECONDS
            while time.perf_counter() < until:
                pass
            yield

    async def count() -> None:
        nonlocal rounds
        while True:
            await asyncio.sleep(0)
            rounds += 1

    counting = asyncio.create_task(count())
    await asyncio.gather(turns.run_slices("a", work()), turns.run("b", int))
    counting.cancel()
    assert rounds >= 10


async def test_who_had_least_goes_first_and_nobody_saves_turns_up() -> None:
    time_now, order = 0.0, list[str]()
    turns = LoopTurns(lambda: time_now)

    def spend(owner: str, seconds: float) -> Callable[[], None]:
        def work() -> None:
            nonlocal time_now
            time_now += seconds
            order.append(owner)

        return work

    greedy = [turns.run("greedy", spend("greedy", 5.0)) for _ in range(6)]
    modest = [turns.run("modest", spend("modest", 1.0)) for _ in range(6)]
    await asyncio.gather(*greedy, *modest)
    assert order == ["greedy", *["modest"] * 5, "greedy", "modest", *["greedy"] * 4]


async def test_who_gives_up_waiting_holds_nobody_up() -> None:
    turns, done = LoopTurns(), list[str]()
    async with turns.take("a"):
        waiting = [asyncio.create_task(turns.run(each, lambda: None)) for each in "abc"]
        last = asyncio.create_task(turns.run("d", lambda: done.append("d")))
        await asyncio.sleep(0)
        for each in waiting:
            each.cancel()
    await asyncio.wait_for(last, 40)
    assert done == ["d"]
    await asyncio.wait_for(turns.run("e", lambda: done.append("e")), 40)
    assert done == ["d", "e"]


def test_nobody_takes_all_the_room() -> None:
    room = Room(100, 90)
    assert room.take("a", 90)
    assert not room.take("a", 1)
    assert room.take("b", 10)
    assert room.take("b", 40)  # half of it is its share
    assert not room.take("b", 1)
    room.give("a", 90)
    assert (room.total, room.take("b", 40)) == (50, True)


async def test_who_waits_for_room_waits_for_one_of_each_owner() -> None:
    room, order = Room(4, 2), list[str]()

    async def use(owner: str, name: str) -> None:
        async with room.hold(owner, 1):
            order.append(name)
            await asyncio.sleep(0.001)

    crowd = [use(owner, owner) for owner in "abcd" for _ in range(50)]
    await asyncio.gather(*crowd, use("e", "e0"), use("f", "f0"), use("e", "e1"))
    assert max(order.index("e0"), order.index("f0")) < 12
    assert order.index("e1") < 24
    assert room.total == 0


async def test_only_who_gets_room_is_woken_however_many_wait() -> None:
    class Counting(Room):
        takes = 0

        def _take(self, owner: str, amount: int) -> bool:
            self.takes += 1
            return super()._take(owner, amount)

    room, count = Counting(8, 4), 500

    async def use(owner: str) -> None:
        async with room.hold(owner, 1):
            await asyncio.sleep(0)

    await asyncio.gather(*(use(owner) for owner in "ab" for _ in range(count)))
    assert room.takes < 10 * count


def lose(room: Room, owner: str, amount: int) -> None:
    """Hold some, and be forgotten in a circle that only the collector finds."""
    held = Held(room, owner)
    assert held.take_now(amount)
    knot: list[object] = [held]
    knot.append(knot)


async def test_the_collector_gives_back_in_the_middle_of_anything(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It runs whenever something is allocated: here, while who waits is told of its room."""
    loop, room = asyncio.get_running_loop(), Room(12, 12)
    call_soon = loop.call_soon

    def collect(*told: Any, **more: Any) -> asyncio.Handle:
        gc.collect()
        return call_soon(*told, **more)

    lose(room, "a", 4)
    assert room.take("c", 8)
    waiting = [asyncio.ensure_future(room.acquire(owner, 4)) for owner in ("a", "b", "c")]
    await asyncio.sleep(0)
    monkeypatch.setattr(loop, "call_soon", collect)
    broken: list[KeyError] = []
    try:
        room.give("c", 8)
    except KeyError as error:
        broken.append(error)
    monkeypatch.undo()
    assert broken == []
    await asyncio.wait_for(asyncio.gather(*waiting), 40)
    assert room.total == 12
    for owner in ("a", "b", "c"):
        room.give(owner, 4)
    assert room.total == 0


async def test_who_waits_is_told_of_what_was_given_back_in_another_thread() -> None:
    room = Room(4, 4)
    lose(room, "a", 4)
    waiting = asyncio.ensure_future(room.acquire("b", 4))
    await asyncio.sleep(0)
    await asyncio.to_thread(gc.collect)
    await asyncio.wait_for(waiting, 40)
    assert room.total == 4


async def test_who_is_cancelled_while_it_waits_or_just_then_keeps_no_room() -> None:
    room = Room(2, 2)
    await room.acquire("a", 2)
    large, granted, small = (
        asyncio.create_task(room.acquire(owner, amount))
        for owner, amount in (("b", 2), ("a", 2), ("b", 1))
    )
    await asyncio.sleep(0)
    room.give("a", 1)
    await asyncio.sleep(0)
    large.cancel()  # who stood behind it wants less, and gets it
    await asyncio.wait_for(small, 40)
    room.give("b", 1)
    room.give("a", 1)
    assert room.total == 2  # it is granted, and cancelled before it runs
    granted.cancel()
    with pytest.raises(asyncio.CancelledError):
        await granted
    assert room.total == 0


async def test_what_is_under_way_is_bounded_and_everything_is_given_back() -> None:
    shares = Shares(answers=Room(300_000, 300_000))
    most = 0

    async def ask(url: str) -> int:
        nonlocal most
        request = OutboundRequest("GET", URL(url), "*/*", owner="risk")
        async with fetching(session, request, Limits(20, 100_000), shares) as answer:
            most = max(most, shares.answers.total)
            return len(answer.body)

    async with serving(answering(b"x" * 100_000)) as url, make_local_session() as session:
        assert await asyncio.gather(*(ask(url) for _ in range(30))) == [100_000] * 30
        assert most <= 300_000
        late = fetching(session, OutboundRequest("GET", URL(url), "*/*"), Limits(0.0), shares)
        with pytest.raises(SourceError, match="no answer within"):
            await late.__aenter__()
    assert most == 300_000
    assert (shares.answers.total, shares.requests.total) == (0, 0)
    assert WEB_LIMITS.max_bytes * 16 < 4 * 1024 * 1024


async def test_a_failure_holds_nothing_of_what_was_read() -> None:
    """Not even in its frames: who collects failures would collect bodies."""
    shares = Shares()
    async with serving(answering(b"x" * 100_000)) as url, make_local_session() as session:
        request = OutboundRequest("GET", URL(url), "*/*", owner="risk")
        limits = Limits(timeout_seconds=20, max_bytes=50_000)
        with pytest.raises(SourceError, match="longer than 50000 bytes") as caught:
            await fetching(session, request, limits, shares).__aenter__()
    error: BaseException | None = caught.value
    assert error is not None
    assert (error.__cause__, error.__context__) == (None, None)
    frame = error.__traceback__
    while frame is not None:
        held = [value for value in frame.tb_frame.f_locals.values() if isinstance(value, bytearray)]
        assert not held
        frame = frame.tb_next
