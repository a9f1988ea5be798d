"""What is remembered is bounded by bytes, everywhere, and by nobody's texts."""

import importlib
import json
import pkgutil
import re
from pathlib import Path
from typing import Any

import canarium
import pytest
from canarium.core.spec import Spec
from canarium.memo import LONG, TEMPLATES, VALUES, Memo, MemoBudget, weigh
from canarium.resources.diff import contains
from canarium.resources.pod_template import render_template

from tests.properties.world import make_spec

PACKAGE = Path(canarium.__file__).parent
# Of what is bounded by itself: kinds, the package's own files, and paths and numbers with limits.
BOUNDED = {
    "api/rules.py": "@cache",
    "api/schema.py": "@cache",
    "core/status.py": "@cache",
    "kube/informers/store.py": "@cache",
    "judge/ranks.py": "@lru_cache(maxsize=64)",
    "metrics/sources/web.py": "@lru_cache(maxsize=128)",
}


def test_nothing_is_remembered_by_number_alone() -> None:
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.relative_to(PACKAGE).parts[0] in ("cli", "sim"):
            continue
        for each in re.findall(r"@cache\b|\S*lru_cache\([^)]*\)", path.read_text(encoding="utf-8")):
            found[str(path.relative_to(PACKAGE))] = each
    assert found == BOUNDED


def test_all_that_is_remembered_by_value_has_one_of_two_budgets() -> None:
    for module in pkgutil.walk_packages([str(PACKAGE)], "canarium."):
        if not module.name.startswith(("canarium.cli", "canarium.__main__")):
            importlib.import_module(module.name)
    import gc  # noqa: PLC0415 - only to find them

    memos = [each for each in gc.get_objects() if isinstance(each, Memo)]
    ours = [each for each in memos if each.__module__.startswith("canarium.")]
    assert len(ours) >= 15
    assert {id(each.budget) for each in ours} == {id(VALUES), id(TEMPLATES)}
    assert VALUES.most + TEMPLATES.most <= 20 * 1024 * 1024


def test_a_result_is_remembered_until_others_need_its_room() -> None:
    computed: list[str] = []
    budget = MemoBudget(20_000)

    def double(text: str, times: int = 2) -> str:
        computed.append(text[:10])
        return text * times

    memo = Memo(double, budget)
    for _ in range(3):
        assert memo("a" * 1_000) == "a" * 2_000
        assert memo("short") == "shortshort"
    assert computed == ["a" * 10, "short"]
    for _ in range(2):
        assert memo("short", times=3) == "shortshortshort"
    assert computed == ["a" * 10, "short", "short"]
    for number in range(100):
        memo(f"{number}" * 500)
        assert memo("short") == "shortshort"
        assert budget.size <= 20_000
    assert computed.count("short") == 2
    memo("a" * 1_000)
    assert computed[-1] == "a" * 10


def test_what_is_as_large_as_many_is_not_remembered() -> None:
    budget = MemoBudget(20_000)
    memo = Memo(lambda text: text + "!", budget)
    memo("kept")
    before = budget.size
    assert memo("x" * 6_000) == "x" * 6_000 + "!"
    assert budget.size == before > 0


@pytest.mark.parametrize("length", [1, LONG - 1, LONG, 5_000])
def test_a_text_and_the_bytes_of_it_are_two_things(length: int) -> None:
    memo = Memo(lambda text: type(text).__name__, MemoBudget(100_000))
    assert [memo("x" * length), memo(b"x" * length)] == ["str", "bytes"]
    assert memo("\ud800" * length) == "str"


def test_what_is_weighed_is_weighed_with_all_that_is_in_it() -> None:
    assert weigh({"a": ["x" * 10_000, {"b": ("y" * 10_000, frozenset({b"z" * 10_000}))}]}) > 30_000
    assert weigh(make_spec()) > 500


def test_190_edits_of_a_large_spec_leave_no_more_than_the_budgets() -> None:
    """Each of 384 KB: rendered, and compared with what lives."""
    source = dict(make_spec().source)
    for number in range(190):
        env = [{"name": f"E{each}", "value": f"{number}" + "v" * 3_800} for each in range(100)]
        server = {**source["server"], "env": env}
        spec = Spec(**{**_fields(make_spec()), "source": {**source, "server": server}})
        rendered = render_template("fraud", "a123456789", spec)
        assert len(rendered) > 380_000
        assert contains(rendered.encode(), rendered)
        assert not contains(json.dumps({"spec": {}}).encode(), rendered)
    assert TEMPLATES.size <= TEMPLATES.most
    assert VALUES.size <= VALUES.most
    assert sum(weigh(entry) for entry in TEMPLATES._entries.values()) <= TEMPLATES.most
    assert sum(weigh(key) for key in VALUES._entries) <= VALUES.most


def _fields(spec: Spec) -> dict[str, Any]:
    return {name: getattr(spec, name) for name in spec.__dataclass_fields__}
