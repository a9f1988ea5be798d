"""Asks others' readers what they make of many ugly texts, and writes down what they said.

`make record-referees` runs it. The texts come from a seed, so the same readers give the same files.
"""

import json
import math
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

from canarium.core.quantities import is_quantity
from canarium.metrics.sources.web import check_path
from canarium.queries.promql_selectors import LABEL, confine

from testbed.programs.binaries import REFEREES, build
from testbed.programs.progress import Progress

HERE = Path(__file__).parent
SEED = 20261130
NAMESPACE = "risk"

Question = tuple[str, str, Any]
Rows = list[list[Any]]


def main() -> None:
    """Write one file for each reader."""
    versions = read_versions(REFEREES.directory / "go.mod")
    for name, (module, make) in TABLES.items():
        made = {"seed": SEED, "by": f"{module} {versions[module]}", "with": "make record-referees"}
        rows = ",\n".join(json.dumps(row) for row in make(Random(SEED)))
        (HERE / f"{name}.json").write_text(
            f'{{"made": {json.dumps(made)}, "rows": [\n{rows}\n]}}\n'
        )


def read_versions(go_mod: Path) -> dict[str, str]:
    """The version of each module that a program needs."""
    words = (line.split() for line in go_mod.read_text().splitlines())
    return {line[0]: line[1] for line in words if len(line) > 1}


def ask(questions: Sequence[Question]) -> list[Any]:
    """The referees' answers, None for what they refuse."""
    program = build(REFEREES, Progress())
    keys = ("what", "text", "more")
    lines = "\n".join(json.dumps(dict(zip(keys, each, strict=True))) for each in questions)
    said = subprocess.run([program], input=lines, capture_output=True, text=True, check=True).stdout
    return [json.loads(line) for line in said.split("\n") if line]


def ask_each(what: str, texts: Sequence[str]) -> Rows:
    """Each text, and the answer beside it."""
    answers = ask([(what, text, None) for text in texts])
    return [list(each) for each in zip(texts, answers, strict=True)]


def some(random: Random, letters: str, most: int) -> str:
    """A text of these letters, as likely short as long."""
    return "".join(random.choices(letters, k=random.randint(0, random.choice([1, 3, most]))))


def repeat(count: int, make: Callable[[], str]) -> list[str]:
    """So many different texts, in order."""
    found = set[str]()
    while len(found) < count:
        found.add(make())
    return sorted(found)


def record_quantities(random: Random) -> Rows:
    """What can be read, as a list of resources keeps it."""
    suffixes = [*"munkMGTPE", *(f"{each}i" for each in "KMGTPE"), "", "", "e3", "E-3", "e10", "e99"]

    def make() -> str:
        digits = some(random, "0123456789", 15) or "0"
        point = "." + some(random, "0012345678", 9) if random.random() < 0.4 else ""
        sign, suffix = random.choice(["", "", "+"]), random.choice([*suffixes, "K", "x"])
        return f"{sign}{digits}{point}{suffix}"

    texts = [each for each in repeat(600, make) if is_quantity(each)]
    return ask_each("quantity", texts)


def record_names(random: Random) -> Rows:
    """Which kinds of name a text may be."""
    hand = [
        "a" * 63,
        "a" * 64,
        "a" * 253,
        "a" * 254,
        "a/b",
        "/b",
        "a/",
        "a/b/c",
        "é",
        "a\n",
        "8080",
    ]

    def make() -> str:
        return some(random, "aaaabz0019--._/A", random.choice([3, 15, 16, 40]))

    texts = [*hand, *repeat(400, make)]
    return ask_each("name", texts)


def record_times(random: Random) -> Rows:
    """How the apiserver stores a time, and which second that is."""

    def make() -> str:
        year = random.choice(["0000", "0001", "1969", "2024", "2026", "9999"])
        numbers = [random.randint(*each) for each in ((1, 12), (1, 31), (0, 23), (0, 59), (0, 59))]
        month, day, hour, minute, second = (f"{each:02}" for each in numbers)
        zone = random.choice(["Z", "Z", "+00:00", "-07:00", "+14:00", "+23:59", "+0100", ""])
        part = random.choice(["", "", ".5", ".123456789"])
        return f"{year}-{month}-{day}T{hour}:{minute}:{second}{part}{zone}"

    return [answer for _, answer in ask_each("time", repeat(400, make)) if answer]


def record_pages(random: Random) -> Rows:
    """The series of pages of metrics, as far as they have labels by plain names."""

    def gap() -> str:
        return random.choice(["", "", "", "", " ", "\t"])

    def pair(name: str, value: str) -> str:
        return f'{gap()}{name}{gap()}={gap()}"{value}"{gap()}'

    def make() -> str:
        lines = []
        for _ in range(random.randint(1, 4)):
            code = random.choice(
                ["200", "404", "500", "503", r"5\"0", r"\\", r"\n5", "", "5{}", "#"]
            )
            path = random.choice(["/v1", "/ready", r"/a\"b", "/}"])
            pairs = [pair("code", code), *random.choices([pair("path", path), pair("x", "y")])]
            name = random.choice(["http_requests_total"] * 3 + ["http_requests_total_x", "up"])
            value = random.choice(["1", "2.0", "1e3", "1E+2", ".5", "0", "+7", "9007199254740993"])
            stamp = random.choice(["", "", " 1700000000000", "\t17"])
            labels = ",".join(random.sample(pairs, 2)) + random.choice(["", ",", ", "])
            lines.append(f"{name}{gap()}{{{labels}}} {value}{stamp}")
        return "\n".join(lines) + random.choice(["", "\n"])

    texts = repeat(300, make)
    return [row for row in ask_each("page", texts) if row[1]]


def record_queries(random: Random) -> Rows:
    """Queries that Prometheus takes, and what is asked in their place; "" for what is refused.

    Raises AssertionError where Prometheus finds anything else in it than one more matcher in every
    selector.
    """
    texts = repeat(400, lambda: make_query(random, 2))
    confined = [try_to_confine(each) for each in texts]
    judged = zip(ask_each("query", texts), ask_each("query", confined), strict=True)
    rows = [(*before, *after) for before, after in judged if before[1]]
    for text, wanted, _, found in (row for row in rows if row[2]):
        selectors = [sorted([*each, [LABEL, "=", NAMESPACE]]) for each in wanted["selectors"]]
        assert found is not None, text
        assert [sorted(each) for each in found["selectors"]] == selectors, text
        assert found["rest"] == wanted["rest"], text
    return [[text, asked] for text, _, asked, _ in rows]


def try_to_confine(query: str) -> str:
    try:
        return confine(query, NAMESPACE)
    except ValueError:
        return ""


def make_query(random: Random, depth: int) -> str:
    """A query of many a kind; hardly half of them mean anything to Prometheus."""

    def pick(*options: str) -> str:
        return random.choice(options)

    def gap() -> str:
        return pick("", "", " ", "\n", "\t", " # {x} ' \" `\n")

    def text() -> str:
        quote = pick('"', "'", "`")
        return (
            quote + pick("fraud", ".*", "}", "{", "#", "a|b", r"\\", r"\n", r"\x41", "日") + quote
        )

    def selector() -> str:
        name = pick("up", "up", "a:b", ":x", "sum", "by", "offset", "on", "info", "start", "fill")
        label = pick("namespace", "pod", "__name__", '"a.b"', "on", "offset")
        matchers = [
            f"{label}{gap()}{pick('=', '!=', '=~', '!~')}{gap()}{text()}"
            for _ in range(random.randint(0, 2))
        ]
        return f"{name}{gap()}{{{gap()}{f'{gap()},'.join(matchers)}{gap()}}}" if matchers else name

    def inner() -> str:
        return make_query(random, depth - 1)

    window = pick("5m", "90s", "1h30m", "5", "1e3", "5m:30s", "5m:", "step()", "-5m", "1d")
    moment = pick(
        "", "", " offset 5m", " offset -5m", " @ end()", " @ 1.5e9", " offset 1h @ start()"
    )
    if depth == 0:
        return selector() + moment
    return pick(
        selector() + moment,
        f"{pick('rate', 'max_over_time', 'absent_over_time')}({selector()}[{window}]{moment})",
        f"{pick('sum', 'TOPK', 'count')}{pick('', ' by (pod)', ' without()')}({inner()})",
        f"{pick('sum', 'max')}({inner()}){pick(' by (pod, on)', '')}",
        f"{pick('abs', 'absent', 'scalar', 'info', 'vector')}({inner()})",
        f"label_replace({inner()}, 'a', '$1', \"b\", `(.*)`)",
        f"({inner()}){pick('', moment, f'[{window}]')}",
        f"{inner()}{gap()} {pick('+', '-', '/', 'and', 'OR', 'unless', '> bool', '^')} {inner()}",
        f"{inner()} * on(pod) {pick('', 'group_left', 'group_right (a)')} {inner()}",
        pick("5", "0x1F", "NaN", "1e3", "-1", "1_000", "inf", "5m"),
        f"{pick('-', '+', '- -')}{inner()}",
    )


def record_paths(random: Random) -> Rows:
    """What is found at JSONPaths that are allowed."""
    segments = [
        ".a", ".b", "['a']", "[0]", "[-1]", "..a", ".*", "[*]", "[1:]", "[-1:]", "[::-1]",
        "[0:2:1]", "[?@.a]", "[?@.a>1]", "[?@.a==1]", "[?@=='a']", "[?@.a&&@.b]", "[?!@.a]",
        "[?@.b==null]",
        "[?@.a!=@.b]", "['a b']", "['é']", "[?@['a']<'b']", "[?@[0]]", "['']", "[?(@.a||@.b)]",
    ]  # fmt: skip

    def document(depth: int) -> Any:
        plain: list[Any] = [0, 1, -1, 2.5, True, None, "1", "ab", "", "é", 10]
        inside = [document(depth - 1) for _ in range(random.randint(0, 3))] if depth else []
        keys = random.sample(["a", "b", "a b", "é", ""], len(inside))
        named = dict(zip(keys, inside, strict=True))
        return random.choice([random.choice(plain), inside, named, named])

    paths = ["$" + "".join(random.choices(segments, k=random.randint(1, 3))) for _ in range(800)]
    asked = [(each, document(3)) for each in paths if is_allowed(each)]
    found = ask([("path", path, value) for path, value in asked])
    rows = ([*each, said] for each, said in zip(asked, found, strict=True) if said is not None)
    return [row for index, row in enumerate(rows) if row[2] or index % 10 == 0]


def is_allowed(path: str) -> bool:
    try:
        check_path(path)
    except ValueError:
        return False
    return True


def record_quantiles(random: Random) -> Rows:
    """Quantiles of histograms: a quantile, bounds and how many are at or below them, the answer."""

    def histograms() -> Iterator[list[list[str]]]:
        while True:
            count, found = 0, list[list[str]]()
            for bound in [*sorted(random.sample([0.01, 0.05, 0.1, 0.25, 1, 5], 4)), math.inf]:
                count += random.choice([0, 0, 1, 9, 10, 89, 90, random.randrange(10**6)])
                found.append([str(bound), str(count)])
            if count:
                yield found

    made = [(random.choice(["0.5", "0.9", "0.95", "0.99"]), next(histograms())) for _ in range(200)]
    found = ask([("quantile", quantile, pairs) for quantile, pairs in made])
    return [[*each, said] for each, said in zip(made, found, strict=True)]


TABLES: dict[str, tuple[str, Callable[[Random], Rows]]] = {
    "quantities": ("k8s.io/apimachinery", record_quantities),
    "names": ("k8s.io/apimachinery", record_names),
    "times": ("k8s.io/apimachinery", record_times),
    "pages": ("github.com/prometheus/prometheus", record_pages),
    "queries": ("github.com/prometheus/prometheus", record_queries),
    "paths": ("github.com/theory/jsonpath", record_paths),
    "quantiles": ("github.com/prometheus/prometheus", record_quantiles),
}

if __name__ == "__main__":
    main()
