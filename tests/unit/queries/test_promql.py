"""Whatever a value is, the query asks the same: only one label's value, or one number, differs."""

import re

import pytest
from canarium.queries.promql import (
    BUILT_IN,
    MAX_QUERY,
    MAX_VALUE,
    Template,
    check_counters,
    check_value,
    find_metrics,
    unescape,
)
from hypothesis import example, given
from hypothesis import strategies as st

# A tokeniser of PromQL of its own, written after Prometheus' lexer: strings in three kinds of
# quotes, comments to the end of the line, words, and single characters.
TOKENS = re.compile(
    r"""#[^\r\n]*|`[^`]*`|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|=~|!~|!=|==|[\w:.]+|\s+|."""
)


def tokenize(query: str) -> list[str]:
    tokens = TOKENS.findall(query)
    assert "".join(tokens) == query, "a quote that isn't closed"
    return tokens


QUERY = (
    """sum(rate(x_total{namespace="{{namespace}}",pod=~'{{revision}}-.*',m!="a{{ model }}b"}"""
    """[{{interval}}]))\n / 100 # per cent\n > {{limit}}"""
)
ARGUMENTS = {**BUILT_IN, "limit": "Number"}
HOSTILE = [
    '"} or vector(1) or x{a="',
    "'} or vector(1) or x{a='",
    "\\",
    '\\"',
    "a\nb",
    "a\rb",
    "# comment",
    "`",
    "{{limit}}",
    "{{model}}",
    ".*",
    "a|b",
    "(?i)x",
    "\\E.*\\Q",
    "[a-z]",
    "\x00\x7f\ufffd\u2028",
    "日本 🦜",
    "",
    "}}",
]


def values(text: str) -> dict[str, str]:
    names = ("namespace", "model", "revision", "service")
    return {**dict.fromkeys(names, text), "interval": "1m", "limit": "0.5"}


def test_values_go_where_they_belong() -> None:
    filled = {"namespace": "risk", "model": "fraud", "revision": "fraud-7b9d", "interval": "1h30m"}
    assert Template(QUERY).render({**filled, "limit": "-1e3"}) == (
        'sum(rate(x_total{namespace="risk",pod=~\'(?:fraud\\\\-7b9d)-.*\',m!="afraudb"}[1h30m]))\n'
        " / 100 # per cent\n > (-1e3)"
    )


def assert_same_but_for_values(text: str) -> None:
    plain, other = (tokenize(Template(QUERY).render(values(v))) for v in ("plain", text))
    assert len(plain) == len(other)
    differing = [(a, b) for a, b in zip(plain, other, strict=True) if a != b]
    if text == "plain":
        assert not differing
        return
    strings = [unescape(literal[1:-1]) for _, literal in differing]
    assert (strings[0], strings[2]) == (text, f"a{text}b")
    assert re.fullmatch(strings[1], f"{text}-7", re.DOTALL)
    assert re.fullmatch(strings[1].removesuffix("-.*"), text)
    assert not re.fullmatch(strings[1].removesuffix("-.*"), text + "x")


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_values_stay_values(text: str) -> None:
    assert_same_but_for_values(text)


characters = st.characters(exclude_categories=["Cs"]) | st.sampled_from("\\\"'`{}#\n|.*()[]^$-")


@given(st.text(characters, max_size=60))
def test_no_value_changes_the_query_but_in_its_own_place(text: str) -> None:
    assert_same_but_for_values(text)


ONE_OPERAND = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?|(\d+(ms|[ywdhms]))+", re.ASCII)


@given(st.text(max_size=20) | st.from_regex(r"[-+0-9.eEsmhd ()]{1,9}", fullmatch=True))
@example("1) or vector(1")
@example("5m] or x[5m")
def test_outside_of_quotes_only_a_number_or_a_duration_is_written(text: str) -> None:
    template = Template("x[{{interval}}] > {{limit}}")
    try:
        query = template.render({"interval": text, "limit": text})
    except ValueError as error:
        assert "has to be a Number or a Duration" in str(error)  # noqa: PT017  # either may happen
        return
    assert ONE_OPERAND.fullmatch(text)
    written = f"({text})" if text[0] in "+-" else text
    assert query == f"x[{written}] > {written}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "1 to 10000 characters"),
        (" \n", "1 to 10000 characters"),
        ("x" * (MAX_QUERY + 1), "1 to 10000 characters"),
        ("x{a=`{{model}}`}", "can't be in a string in backquotes"),
        ("x # {{model}}", "can't be in a comment"),
        ('x{a="{{model}}', "a quote that isn't closed"),
        ("x{a='{{model}}\n'}", "a quote that isn't closed"),
        ("x{a=`b", "a quote that isn't closed"),
        ('x{a="{{model"}', "followed by a name"),
        ('x{a="{{ }}"}', "followed by a name"),
        ('x{a="{{a}}{{"}', "followed by a name"),
        ("x{{", "followed by a name"),
        ("{{1}}", "followed by a name"),
        ('label_replace(x, "a", "{{model}}", "", "")', "isn't a label's value"),
        ('label_replace(x{a="b"}, "a", "$1", "c", "{{model}}")', "isn't a label's value"),
        ('count_values("{{model}}", x)', "isn't a label's value"),
        ('{"{{model}}"}', "isn't a label's value"),
        ('{"{{model}}"="a"}', "isn't a label's value"),
        ('x{a="b" == "{{model}}"}', "isn't a label's value"),
        ("x[{{n}}m]", "touches what is next to it"),
        ("x{{n}}", "touches what is next to it"),
        ("{{n}}{{n}}", "touches what is next to it"),
        ("a:{{n}}", "touches what is next to it"),
        ("x{a={{n}}'b'}", "touches what is next to it"),
        (r'x{a="\{{model}}"}', "an unknown escape"),
        (r'x{a="\x4{{model}}"}', "an unknown escape"),
        (r'x{a="\xff{{model}}"}', "beyond ASCII"),
        (r'x{a="\ud800{{model}}"}', "no character"),
        (r'x{a="{{model}}\z"}', "an unknown escape"),
        ('x{a=~"[{{model}}]"}', "can't be in"),
        ('x{a=~"[[:alpha:]{{model}}]"}', "can't be in"),
        ('x{a=~"[]{{model}}]"}', "can't be in"),
        ('x{a=~"[^]{{model}}]"}', "can't be in"),
        (r'x{a=~"[\\]{{model}}]"}', "can't be in"),
        (r'x{a=~"\\{{model}}"}', "can't be in"),
        (r'x{a=~"\\Q{{model}}\\E"}', "can't be in"),
        (r'x{a=~"\\x{{model}}"}', "can't be in"),
        ('x{a!~"(?{{model}})"}', "can't be in"),
        ('x{a=~"(?P<{{model}}>b)"}', "can't be in"),
        ('x{a=~"b{1,{{model}}}"}', "can't be in"),
        ('x{a=~"{{model}}[{{model}}]"}', "can't be in"),
    ],
)
def test_a_template_that_cannot_be_filled_in_safely_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        Template(text)


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("x[{{ interval }}:{{interval}}]", "x[5m:5m]"),
        ("x offset {{interval}}", "x offset 5m"),
        ("topk({{limit}}, x)", "topk(3, x)"),
        ("2^{{limit}}", "2^3"),
        ('x{a="b\\n{{model}}"}', 'x{a="b\\nf"}'),
        ('x{a=~"[a-z]+{{model}}(?i:b{2})"}', 'x{a=~"[a-z]+(?:f)(?i:b{2})"}'),
        (r'x{a=~"\\[{{model}}"}', r'x{a=~"\\[(?:f)"}'),
        ("x{a='}'} # it's {fine}", "x{a='}'} # it's {fine}"),
        ("x # a comment\r > {{limit}}", "x # a comment\r > 3"),
        ('{"my.metric", "my.label"="{{model}}"}', '{"my.metric", "my.label"="f"}'),
    ],
)
def test_what_is_safe_is_filled_in(text: str, query: str) -> None:
    assert Template(text).render({"interval": "5m", "limit": "3", "model": "f"}) == query


def test_arguments_are_checked_by_name_and_type() -> None:
    template = Template('x{a="{{model}}",b="{{limit}}"}[{{interval}}] > {{model}} + {{extra}}')
    assert template.names == {"model", "limit", "interval", "extra"}
    assert template.check({"model": "String", "limit": "Number", "interval": "Duration"}) == (
        (
            '{{model}} is a String, which goes into a label\'s value in quotes (model="{{model}}");'
            " outside of quotes write a Number or a Duration"
        ),
        "{{extra}} is not an argument; there are: interval, limit, model",
    )
    assert Template(QUERY).check(ARGUMENTS) == ()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "no value for {{model}}"),
        ({"model": "x" * (MAX_VALUE + 1)}, "model is longer than 1000 characters"),
        ({"model": "\ud800"}, "model is not text that can be written as UTF-8"),
    ],
)
def test_values_of_no_use_are_refused(values: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        Template('x{a="{{model}}"}').render(values)


@pytest.mark.parametrize(
    ("kind", "value", "problem"),
    [
        ("Number", "0.95", None),
        ("Number", "-1e3", None),
        ("Number", "1e", "'1e' is not a number; write one such as 0.95"),
        ("Number", "010", "'010' is not a number; write one such as 0.95"),
        ("Number", "NaN", "'NaN' is not a number; write one such as 0.95"),
        ("Number", "\u0661", "'\u0661' is not a number; write one such as 0.95"),
        ("Number", "1\n", "'1\\n' is not a number; write one such as 0.95"),
        ("Duration", "1h30m", None),
        ("Duration", "500ms", None),
        ("Duration", "", "'' is not a duration; write one such as 5m or 1h30m"),
        ("Duration", "0s", "'0s' is not a duration; write one such as 5m or 1h30m"),
        ("Duration", "5", "'5' is not a duration; write one such as 5m or 1h30m"),
        ("Duration", "1m1h", "'1m1h' is not a duration; write one such as 5m or 1h30m"),
        ("String", 'any"thing', None),
    ],
)
def test_an_arguments_value_has_to_be_of_its_type(
    kind: str, value: str, problem: str | None
) -> None:
    assert check_value(kind, value) == problem  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("query", "culprit"),
    [
        ('http_requests_total{code=~"5.."}', None),
        ("a_total or b_total", None),
        ('label_replace(a_total, "x", "$1", "y", "(.*)")', None),
        ("sum_of_things_total{rate='1'}", None),
        ("sum(a_total)", "sum"),
        ("sum by (pod) (a_total)", "sum"),
        ("SUM (a_total)", "SUM"),
        ("rate(a_total[1m])", "rate"),
        ("increase # of\n (a_total[1m])", "increase"),
        ("max_over_time(a[5m])", "max_over_time"),
        ("a_total / b_total", "/"),
        ("a_total{x='a-b/c'} unless b_total > 0", None),
        ("sum BY (pod) (x_total)", "sum"),
        ("SUM\tWithout (pod) (x_total)", "SUM"),
    ],
)
def test_what_gives_no_counters_is_told(query: str, culprit: str | None) -> None:
    problem = check_counters(query)
    assert (problem and problem.partition(" ")[0]) == culprit


@pytest.mark.timeout(20)
@pytest.mark.parametrize("piece", ["{{a", '"', "a ", "\\", "# ", '{a="b"} ', "{{a}} "])
def test_a_long_template_takes_no_longer_than_its_length(piece: str) -> None:
    text = (piece * MAX_QUERY)[:MAX_QUERY]
    try:
        Template(text)
    except ValueError as error:
        assert len(str(error)) < 300  # noqa: PT017  # either may happen


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("asked", {"asked"}),
        ('asked{code=~"5..",path!="by"}', {"asked"}),
        (
            ':tensorflow:serving:request_count{a="b"} or other_total',
            {":tensorflow:serving:request_count", "other_total"},
        ),
        ("a_total and on (pod, instance) b_total offset 5m", {"a_total", "b_total"}),
        ('label_replace(a_total, "x", "$1", "y", "(.*)")', {"a_total"}),
        ("a_total > .5", {"a_total"}),
        ('{__name__="a_total"}', set()),
        ("a_total[5m:1m] unless ignoring(code) group_left b", {"a_total", "b"}),
        ("a_total > bool 0", {"a_total"}),
        ('refused{service="{{service}}"} # of all', {"refused"}),
    ],
)
def test_the_metrics_that_a_query_names_are_found(query: str, names: set[str]) -> None:
    assert find_metrics(query) == names
