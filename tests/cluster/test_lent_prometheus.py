"""The referee of what tenants are lent: a real Prometheus that has two namespaces' series.

A second one has those of one namespace alone. Whatever a query is, once it is kept to that
namespace both have to answer alike: nothing of the other one is in any figure.
"""

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from canarium.queries.promql_selectors import confine
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from testbed.addons.prometheus import find_promtool, run_prometheus
from testbed.cluster.fixtures import skipping
from testbed.programs.progress import Progress

pytestmark = [pytest.mark.timeout(600), pytest.mark.xdist_group("prometheus")]
OWN, OTHER = "risk", "fraud"
METRICS = ("asked_total", "busy", "sum", "offset", ":serving:count")
LABELS = ("pod", "code", "exported_namespace")
NUMBERS = ("0", "1", "2.5", "1e1", "0x10", "Inf", "NaN")
FOUND = tuple[object, ...]


@dataclass(frozen=True)
class Servers:
    """The one that all share, and one that knows nothing but one namespace."""

    shared: str
    own: str
    at: float


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    at = float(int(time.time()) - 600)
    with skipping(), ExitStack() as stack:
        addresses = list[str]()
        for namespaces in ((OWN, OTHER, ""), (OWN,)):
            directory = tmp_path_factory.mktemp("prometheus")
            fill(directory, namespaces, at)
            quiet = dict[str, Any](scrape_configs=[])
            running = run_prometheus(directory, [], Progress(), more=quiet)
            addresses.append(stack.enter_context(running))
        shared, own = addresses
        yield Servers(shared, own, at)


def fill(directory: Path, namespaces: tuple[str, ...], at: float) -> None:
    """Write ten minutes of each metric, other figures in each namespace."""
    lines = list[str]()
    for metric in METRICS:
        for number, namespace in enumerate(namespaces):
            for pod in range(2):
                labels = {"pod": f"p{pod}", "code": "200", "exported_namespace": OTHER}
                labels |= {"namespace": namespace} if namespace else {}
                written = ",".join(f'{name}="{value}"' for name, value in labels.items())
                for minute in range(10):
                    value = (1 + number * 1000) * (minute + 1) + pod
                    lines.append(f"{metric}{{{written}}} {value} {at - 540 + minute * 60:.0f}")
    text = directory / "series.txt"
    text.write_text("\n".join([*sorted(lines, key=lambda each: each.split("{")[0]), "# EOF\n"]))
    tool = find_promtool(Progress())
    command = [str(tool), "tsdb", "create-blocks-from", "openmetrics", str(text)]
    command.append(str(directory / "data"))
    subprocess.run(command, check=True, capture_output=True)


def ask(address: str, query: str, at: float) -> tuple[FOUND, ...] | str:
    """What a server finds, in order; or the kind of its refusal."""
    connection = HTTPConnection(address.removeprefix("http://"), timeout=60)
    form = urlencode({"query": query, "time": at})
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    connection.request("POST", "/api/v1/query", form, headers)
    body = json.load(connection.getresponse())
    connection.close()
    if body["status"] != "success":
        return str(body["errorType"])
    data = body["data"]
    if data["resultType"] in ("scalar", "string"):
        return ((data["resultType"], repr(data["result"][1])),)
    return tuple(sorted((read(series) for series in data["result"]), key=repr))


def read(series: dict[str, object]) -> FOUND:
    labels = series["metric"]
    assert isinstance(labels, dict)
    return tuple(sorted(labels.items())), repr(series.get("value") or series.get("values"))


spaces = st.sampled_from(["", " ", "\n", "\t", " # {x} ' \" `\n", "\r\n"])
quotes = st.sampled_from(['"{}"', "'{}'", "`{}`"])
strings = st.builds(str.format, quotes, st.sampled_from([OWN, OTHER, ".*", ".+", "p0", "", "200"]))
labels = st.sampled_from([*LABELS, "namespace", "namespace", "__name__"])
matchers = st.builds(
    "{}{}{}{}{}".format, labels, spaces, st.sampled_from(["=", "!=", "=~", "!~"]), spaces, strings
)
ranges = st.sampled_from(["5m", "90s", "1h30m", "2m", "10m"])


@st.composite
def selectors(draw: st.DrawFn) -> str:
    name = draw(st.sampled_from([*METRICS, ""]))
    chosen = draw(st.lists(matchers, min_size=0 if name else 1, max_size=3))
    if name and not chosen and draw(st.booleans()):
        return name
    comma = draw(st.sampled_from(["", ","])) if chosen else ""
    return f"{name}{draw(spaces)}{{{f'{draw(spaces)},'.join(chosen)}{comma}}}"


moments = st.sampled_from(["", "", " offset 2m", " offset -1m", " @ end()", " @ start() offset 1m"])
instants = st.builds("{}{}".format, selectors(), moments)
windows = st.builds("{}{}[{}]{}".format, selectors(), spaces, ranges, moments)
grouping = st.sampled_from(
    ["", " by (pod)", " without (pod,code)", " BY (namespace, up)", " by ()"]
)


# `absent` says by its labels what it looked for, so `max` takes them off.
def widen(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """One more function, operator or pair of parentheses around a query."""
    over = st.sampled_from(["rate", "max_over_time", "count_over_time"])
    matching = st.sampled_from(
        [
            "",
            " on (pod)",
            " ignoring(namespace)",
            " on(pod) group_left",
            " on () group_right (code)",
        ]
    )
    arithmetic = st.sampled_from(["+", "-", "*", "/", "%", "^", "==", "> bool", "<=", "!="])
    return st.one_of(
        st.builds("{}({})".format, over, windows),
        st.builds(
            "{}({}{}[{}:{}])".format, over, inner, spaces, ranges, st.sampled_from(["", "1m"])
        ),
        st.builds(
            "{}({}){}".format, st.sampled_from(["sum", "max", "COUNT", "avg"]), inner, grouping
        ),
        st.builds("sum{} ({})".format, grouping, inner),
        st.builds("topk{}(1, {})".format, grouping, inner),
        st.builds(
            "{}({}))".format, st.sampled_from(["max(absent", "abs(", "(scalar", "(vector"]), inner
        ),
        st.builds('count_values("namespace", {})'.format, inner),
        st.builds('label_replace({}, "x", "$1", {}, "(.*)")'.format, inner, strings),
        st.builds("({}{}{})".format, spaces, inner, spaces),
        st.builds("-{}".format, inner),
        st.builds("{} {}{} {}".format, inner, arithmetic, matching, inner),
        st.builds(
            "{} {}{} {}".format,
            inner,
            st.sampled_from(["and", "or", "unless", "OR"]),
            st.sampled_from(["", " on (pod)", " ignoring (code)"]),
            inner,
        ),
    )


queries = st.recursive(instants | st.sampled_from(NUMBERS), widen, max_leaves=5)
check = settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)


@check
@given(query=queries)
def test_a_query_finds_what_it_would_if_there_were_no_other_namespaces(
    servers: Servers, query: str
) -> None:
    kept = confine(query, OWN)
    meant, found = (ask(servers.own, query, servers.at), ask(servers.shared, kept, servers.at))
    event("refused" if isinstance(meant, str) else "an answer" if meant else "nothing")
    assert found == ask(servers.own, kept, servers.at), kept
    # What selects nothing in particular is refused; kept to a namespace, it selects all of it.
    if not isinstance(meant, str):
        assert found == meant, kept


PIECES = st.sampled_from(
    [
        *("asked_total", "sum", "offset", "by", "without", "on", "ignoring", "group_left", "or"),
        *("and", "unless", "bool", "start", "end", "inf", "fill", "rate", "absent", "time", "info"),
        *("(", ")", "{", "}", "[5m]", "[5m:1m]", ",", "=", "=~", "!=", "!~", "+", "-", "@", "=="),
        *('"risk"', "'fraud'", "`.+`", '"{"', "namespace", "__name__", "5", "1e3", "5m", "# x\n"),
        *("\r", '{__name__=~".+"}', '{namespace="fraud"}', "asked_total[5m]", "sum(", ") by (pod)"),
    ]
)
soups = st.lists(PIECES, min_size=1, max_size=7).map(" ".join)


@check
@given(text=soups | st.lists(PIECES, min_size=1, max_size=7).map("".join))
def test_of_any_text_nothing_of_another_namespace_is_found(servers: Servers, text: str) -> None:
    try:
        kept = confine(text, OWN)
    except ValueError:
        event("not understood")
        return
    found = ask(servers.shared, kept, servers.at)
    event("refused" if isinstance(found, str) else "an answer")
    assert found == ask(servers.own, kept, servers.at), kept


@pytest.mark.parametrize("query", ["sum(asked_total)", 'count({__name__=~".+"})', "{pod='p0'}"])
def test_without_the_matcher_others_are_in_the_figures(servers: Servers, query: str) -> None:
    """So that the tests above can fail."""
    assert ask(servers.shared, query, servers.at) != ask(servers.own, query, servers.at)
    kept = confine(query, OWN)
    assert ask(servers.shared, kept, servers.at) == ask(servers.own, query, servers.at) != ()
