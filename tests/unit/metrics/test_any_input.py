"""Whatever a server answers or a person writes ends as a value or as an error with its reason."""

import json
from typing import Any

from canarium.metrics.own_profiles import parse_profile, parse_profiles
from canarium.metrics.sources.prometheus import read_result
from canarium.metrics.sources.web import check_path, read_number
from canarium.outbound.errors import MAX_MESSAGE, SourceError
from canarium.outbound.fetching import Answer
from canarium.queries.promql import Template, check_counters
from hypothesis import given
from hypothesis import strategies as st

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=12,
)


def mapping(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Mappings with some of these fields, whose values are often what they should be."""
    return st.fixed_dictionaries({}, optional={k: v | values for k, v in fields.items()})


series = mapping(
    metric=st.dictionaries(st.text(max_size=4), st.text(max_size=4), max_size=2),
    value=st.tuples(st.floats(0, 2e9), st.sampled_from(["1", "NaN", "-Inf", "1e999", "", "x"])),
)
answers = mapping(
    status=st.sampled_from(["success", "error"]),
    error=st.text(max_size=200),
    data=mapping(
        resultType=st.sampled_from(["vector", "scalar", "matrix", "string"]),
        result=st.lists(series, max_size=3) | st.tuples(st.floats(0, 2e9), st.text(max_size=3)),
    ),
)
deep = st.tuples(
    st.sampled_from([b"", b'{"status":"success","data":{"resultType":"vector","result":']),
    st.sampled_from([b"[", b'{"a":', b'[{"metric":']),
    st.sampled_from([100, 5_000, 50_000]),
).map(lambda drawn: drawn[0] + drawn[1] * drawn[2])
bodies = st.one_of(
    st.binary(max_size=60), answers.map(lambda answer: json.dumps(answer).encode()), deep
)


def assert_told(error: Exception) -> None:
    assert str(error).isprintable()
    assert 0 < len(str(error)) <= MAX_MESSAGE


@given(body=bodies, status=st.sampled_from([200, 400, 503]))
def test_any_answer_to_a_query_is_read_or_refused(body: bytes, status: int) -> None:
    try:
        found = read_result(Answer(status, body))
    except SourceError as error:
        assert_told(error)
        return
    assert status == 200
    assert all(isinstance(value, float) for value in found.values())


@given(
    body=st.binary(max_size=60) | values.map(lambda value: json.dumps(value).encode()) | deep,
    path=st.sampled_from(["$", "$.a", "$..a", "$[0]", "$[?@.a > 1].b", "$.*"]),
)
def test_any_web_answer_is_a_number_no_data_or_refused(body: bytes, path: str) -> None:
    try:
        found = read_number(Answer(200, body), path)
    except SourceError as error:
        assert_told(error)
        return
    assert found is None or float("-inf") < found < float("inf")


@given(st.text(max_size=40) | st.text("$.[]?@*'\"a0,:<>=!&|() ", max_size=20).map("${}".format))
def test_any_path_is_taken_or_refused(path: str) -> None:
    try:
        check_path(path)
    except ValueError as error:
        assert str(error)  # noqa: PT017  # either may happen


own = mapping(
    requests=st.just("a_total"),
    failures=st.just("b_total"),
    counting=st.sampled_from(["All", "Successes"]),
    status=mapping(labels=st.just(["code"]), errors=st.just(["5*"])),
    duration=mapping(histogram=st.just("c_seconds"), unit=st.just("Seconds")),
    routes=mapping(labels=st.just(["path"]), only=st.just(["/*"])),
    methods=st.just(["POST"]),
    labels=st.dictionaries(st.just("a"), st.text(max_size=3)),
)


@given(own)
def test_any_profile_is_taken_or_refused(fields: dict[str, Any]) -> None:
    try:
        profile = parse_profile("mine", fields)
    except ValueError as error:
        assert str(error)  # noqa: PT017  # either may happen
        return
    assert profile.requests or profile.duration


@given(st.dictionaries(st.text(max_size=5), st.text(max_size=40), max_size=3))
def test_each_text_of_a_config_map_is_a_profile_or_a_problem(data: dict[str, str]) -> None:
    profiles, problems = parse_profiles(data)
    assert len(profiles) + len(problems) == len(data)


@given(st.text(max_size=40) | st.text("{}\"'`\\=~!#[]()a1 \n", max_size=30))
def test_any_query_is_taken_or_refused(text: str) -> None:
    try:
        template = Template(text)
    except ValueError as error:
        assert str(error)  # noqa: PT017  # either may happen
        return
    check_counters(text)
    if not template.names:
        assert template.render({}) == text
