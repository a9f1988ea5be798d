"""Every selector of a query gets the namespace's matcher, and what isn't understood is refused.

`tests/cluster/test_lent_prometheus.py` has a real Prometheus as the referee.
"""

import re

import pytest
from canarium.queries.promql import MAX_QUERY
from canarium.queries.promql_selectors import confine
from hypothesis import given
from hypothesis import strategies as st

OWN = 'namespace="risk"'


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("up", "up{OWN}"),
        ("up{}", "up{OWN}"),
        ("{}", "{OWN}"),
        ('up{a="b",}', 'up{a="b",OWN}'),
        ("up {a='b', c!=`d\\e`, e=~\"f\", g!~'h'}", 'up{a="b",c!="d\\\\e",e=~"f",g!~"h",OWN}'),
        # Other words about the namespace stay, so that both have to hold.
        ('up{namespace="fraud"}', 'up{namespace="fraud",OWN}'),
        ('up{namespace!="risk"}', 'up{namespace!="risk",OWN}'),
        ('up{namespace=~".*"}', 'up{namespace=~".*",OWN}'),
        ('up{namespace!~"a|b"}', 'up{namespace!~"a|b",OWN}'),
        ('{"namespace"="fraud"}', '{"namespace"="fraud",OWN}'),
        # Names that stand elsewhere than before the braces.
        ('{__name__="up"}', '{__name__="up",OWN}'),
        ('count({__name__=~".+"})', 'count({__name__=~".+",OWN})'),
        ('{"http.requests","a.b"!="c"}', '{"http.requests","a.b"!="c",OWN}'),
        (":tensorflow:serving:request_count", ":tensorflow:serving:request_count{OWN}"),
        # Braces, quotes and comments where they mean nothing.
        ("up{a='}'} # {b} \"\n", 'up{a="}",OWN}'),
        ('up{a="#"} # or down', 'up{a="#",OWN}'),
        ("up{a='\"}'}", 'up{a="\\"}",OWN}'),
        ('up{a=`"}`}', 'up{a="\\"}",OWN}'),
        ('up{a="\\"}"}', 'up{a="\\"}",OWN}'),
        ("up{a=`{\n}`}", 'up{a="{\\u000a}",OWN}'),
        ("up # a comment ends with a line\r{a='b'}", 'up{a="b",OWN}'),
        ('up{a="日本"}', 'up{a="\\u65e5\\u672c",OWN}'),
        # Functions and aggregations, with labels that look like metrics.
        ("sum(up)", "sum(up{OWN})"),
        ("sum by (pod, up) (up)", "sum by (pod, up) (up{OWN})"),
        ("SUM(up) WITHOUT (pod,)", "SUM(up{OWN}) WITHOUT (pod,)"),
        ('sum by ("a.b") (up)', 'sum by ("a.b") (up{OWN})'),
        ("topk(5, up)", "topk(5, up{OWN})"),
        ('count_values("up", up)', 'count_values("up", up{OWN})'),
        ("absent(up)", "absent(up{OWN})"),
        ("absent_over_time(up[5m])", "absent_over_time(up{OWN}[5m])"),
        (
            "label_replace(up, 'x', '$1{y}', \"y\", '(.*)')",
            'label_replace(up{OWN}, "x", "$1{y}", "y", "(.*)")',
        ),
        ("vector(1)", "vector(1)"),
        ("time()", "time()"),
        ("scalar(up) + 1", "scalar(up{OWN}) + 1"),
        ("5", "5"),
        ("'text'", '"text"'),
        # Ranges, subqueries, offsets and moments.
        ("rate(up[5m])", "rate(up{OWN}[5m])"),
        ("rate(up{a='b'} [ 1h30m ])", 'rate(up{a="b",OWN}[1h30m])'),
        ("max_over_time(rate(up[1m])[5m:30s])", "max_over_time(rate(up{OWN}[1m])[5m:30s])"),
        (
            "max_over_time((up - down offset 1w)[5m:] @ end())",
            "max_over_time((up{OWN} - down{OWN} offset 1w)[5m:] @ end ())",
        ),
        ("up offset -5m", "up{OWN} offset - 5m"),
        ("up @ 1.5e9 offset 5m", "up{OWN} @ 1.5e9 offset 5m"),
        ("up @ -1", "up{OWN} @ - 1"),
        ("rate(up[step() + 5m])", "rate(up{OWN}[step() + 5m])"),
        ("increase(up[5m] anchored)", "increase(up{OWN}[5m] anchored)"),
        # Operators.
        ("-up ^ 2", "- up{OWN} ^ 2"),
        ("up/down", "up{OWN} / down{OWN}"),
        ("up and on(pod) down or idle", "up{OWN} and on (pod) down{OWN} or idle{OWN}"),
        ("up OR down Unless idle", "up{OWN} OR down{OWN} Unless idle{OWN}"),
        ("up == bool down", "up{OWN} == bool down{OWN}"),
        (
            "a * on (x) group_left (y) b > ignoring() group_right c",
            "a{OWN} * on (x) group_left (y) b{OWN} > ignoring () group_right c{OWN}",
        ),
        ("a + fill(-1) b", "a{OWN} + fill (- 1) b{OWN}"),
        ("a </ 5", "a{OWN} </ 5"),
        ("1e-3*0x1F+.5-Inf", "1e-3 * 0x1F + .5 - Inf"),
        ("up > (-1e0)", "up{OWN} > (- 1e0)"),
        # Metrics that are called like keywords.
        ("sum + max", "sum{OWN} + max{OWN}"),
        ("or or or", "or{OWN} or or{OWN}"),
        ("offset offset 5m", "offset{OWN} offset 5m"),
        ("by{a='b'} by_the_way", None),
        ("start + fill", "start{OWN} + fill{OWN}"),
        ("infinite", "infinite{OWN}"),
        ("info", "info{OWN}"),
    ],
)
def test_every_selector_is_kept_to_the_namespace(query: str, wanted: str | None) -> None:
    if wanted is None:
        with pytest.raises(ValueError, match="cannot be kept to its namespace"):
            confine(query, "risk")
    else:
        assert confine(query, "risk") == wanted.replace("OWN", OWN)


@pytest.mark.parametrize(
    "query",
    [
        # Other dialects: here a matcher beside these would not hold for all.
        'up{a="b" or c="d"}',
        'up{a="b"} or{',
        "WITH (x = up) x",
        'WITH (ns = {namespace="fraud"}) up{ns}',
        "up if down",
        "up default 0",
        "up keep_metric_names",
        "sum(up) limit 5",
        "up[1i]",
        "http.requests",
        "up\\-x",
        'up{a=="b"}',
        # What reads series that no selector names.
        "info(up)",
        "INFO (up, {a='b'})",
        # What is not whole, or is cut elsewhere by another lexer.
        "",
        "# nothing",
        "up{",
        'up{a="b"',
        "up)",
        "(up",
        "sum(up",
        "up}",
        "{a}",
        "up{a}",
        "up{a=}",
        "up{a=b}",
        "up{a='b' 'c'}",
        "up{,}",
        "up up",
        "up +",
        "up[5m",
        "up[]",
        "up[down]",
        "up['5m']",
        "up[5m]]",
        "up offset",
        "up offset down",
        "up @ down",
        "up @ start",
        "sum(up,)",
        "up, down",
        "sum by up (down)",
        "sum by (pod (up)",
        "up and on pod down",
        "a + fill(b) c",
        "1foo",
        "1.foo",
        "0x1g",
        "5m30",
        "1_000",
        "a;b",
        "a\x0bb",
        "a\u00a0+ b",
        "a$b",
        "'open",
        'up{a="\n"}',
        'up{a="\\q"}',
        'up{a="\\xff"}',
    ],
)
def test_what_is_not_understood_is_refused(query: str) -> None:
    with pytest.raises(ValueError, match=r"cannot be kept|info\(\)|an .*escape") as caught:
        confine(query, "risk")
    assert len(str(caught.value)) < 200


def test_a_namespace_is_written_as_a_string_whatever_it_is() -> None:
    assert confine("up", 'a"} or up{b="') == 'up{namespace="a\\"} or up{b=\\""}'


SELECTOR = re.compile(r'(?:[A-Za-z_:][\w:]*)?\{(?:[^{}"]|"(?:[^"\\]|\\.)*")*\}', re.ASCII)
PIECES = st.sampled_from(
    [
        *("up", "sum", "by", "on", "or", "offset", "start", "bool", "group_left", "inf", "fill"),
        *("(", ")", "{", "}", "[5m]", "[5m:1m]", ",", "=", "=~", "!=", "+", "-", "@", "==", " "),
        *('"a"', "'b'", "`c`", '"{"', "namespace", "__name__", "5", "1e3", "5m", "# x\n", "\r"),
    ]
)


@given(st.lists(PIECES, max_size=14).map(" ".join) | st.lists(PIECES, max_size=14).map("".join))
def test_of_any_text_no_selector_is_left_without_the_matcher(text: str) -> None:
    try:
        found = confine(text, "risk")
    except ValueError:
        return
    assert confine(found.replace(f",{OWN}", "").replace(OWN, ""), "risk") == found
    for selector in SELECTOR.findall(found):
        assert selector.endswith((f"{{{OWN}}}", f",{OWN}}}")), found
    bare = re.sub(r'"(?:[^"\\]|\\.)*"', "", SELECTOR.sub("", found))
    assert "{" not in bare
    assert "}" not in bare


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "piece", ["(", "{", "a+", "a{b='c'}+", "-", "sum(", "[5m]", "'a'+", "5m", "#", "a[5m:1m]", "1e"]
)
def test_a_long_query_takes_no_longer_than_its_length(piece: str) -> None:
    text = (piece * MAX_QUERY)[:MAX_QUERY] + "a"
    try:
        confine(text, "risk")
    except ValueError as error:
        assert len(str(error)) < 300  # noqa: PT017  # either may happen
