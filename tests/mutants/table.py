"""docs/contributing/mutants.md: which wrong versions there are, and which test catches each."""

from __future__ import annotations

import re
from collections.abc import Mapping

from tests.mutants.mutant import ROOT, Mutant

DOCUMENT = ROOT / "docs" / "contributing" / "mutants.md"
HEAD = """\
# Wrong versions of the operator, and the tests that catch them

A test that passes shows little unless it fails where it should. Each row is a mistake that somebody
could make, planted in a copy of the package by replacing one text (`tests/mutants/catalogue.py`);
the test that is named has to fail on the copy, by an assertion, and to pass on the original.
`make mutants` plants them all, runs those tests and writes this page. A unit test sees to it that
every text to be replaced is still there, exactly once.

"""
_ROW = re.compile(r"^\| `([\w-]+)` \|", re.MULTILINE)


def render(results: Mapping[Mutant, str]) -> str:
    """The whole page."""
    rows = [_render_row(mutant, result) for mutant, result in results.items()]
    caught = sum(result == "caught" for result in results.values())
    counted = f"{caught} of {len(rows)} are caught.\n\n"
    titles = (
        "| mutant | what is wrong | test that catches it | result |\n| --- | --- | --- | --- |\n"
    )
    return HEAD + counted + titles + "".join(rows)


def _render_row(mutant: Mutant, result: str) -> str:
    path, _, test = mutant.test.partition("::")
    where = path.removeprefix("tests/").removesuffix(".py")
    return f"| `{mutant.name}` | {mutant.wrong} | {where}: `{test}` | {result} |\n"


def read_names(text: str) -> list[str]:
    """The mutants that a page names, in its order."""
    return _ROW.findall(text)
