"""The wrong versions keep up with the code; `make mutants` shows that each is caught."""

import ast
import re
from pathlib import Path

import pytest

from tests.mutants.catalogue import MUTANTS
from tests.mutants.mutant import ROOT, DoesNotApplyError, Mutant
from tests.mutants.table import DOCUMENT, read_names, render
from tests.mutants.trial import Run, judge


def name_of(mutant: Mutant) -> str:
    return mutant.name


@pytest.mark.parametrize("mutant", MUTANTS, ids=name_of)
def test_what_a_mutant_replaces_is_there_once_and_the_result_is_python(mutant: Mutant) -> None:
    ast.parse(mutant.read())


@pytest.mark.parametrize("mutant", MUTANTS, ids=name_of)
def test_the_test_that_catches_a_mutant_exists(mutant: Mutant) -> None:
    path, _, test = mutant.test.partition("::")
    name = re.escape(test.partition("[")[0])
    assert re.search(rf"^(async )?def {name}\(", (ROOT / path).read_text(), re.MULTILINE)


def test_no_two_mutants_have_the_same_name_or_make_the_same_mistake() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)
    assert len({(mutant.file, mutant.read()) for mutant in MUTANTS}) == len(MUTANTS)


def test_the_page_lists_every_mutant_and_each_is_caught() -> None:
    assert DOCUMENT.read_text() == render(dict.fromkeys(MUTANTS, "caught"))
    assert read_names(DOCUMENT.read_text()) == [mutant.name for mutant in MUTANTS]


@pytest.mark.parametrize("source", ["", "guard\nguard\n"], ids=["gone", "twice"])
def test_a_mutant_that_does_not_apply_any_more_says_so(source: str) -> None:
    mutant = Mutant(
        "skip", "no guard", "rollout/decide/states.py", "guard\n", "", "tests/x.py::test_x"
    )
    with pytest.raises(DoesNotApplyError, match="skip: the old text is"):
        mutant.change(source)


ASSERTED = {"test": "t", "kind": "AssertionError", "message": "1 != 2"}
CRASHED = {"test": "t", "kind": "NameError", "message": "no x"}


@pytest.mark.parametrize(
    ("found", "good", "words"),
    [
        ({"package": "/copy", "passed": [], "failures": [ASSERTED]}, True, "caught"),
        ({"package": "/copy", "passed": [], "failures": [CRASHED]}, False, "crashes: NameError"),
        ({"package": "/copy", "passed": ["t"], "failures": []}, False, "SURVIVES"),
        ({"package": "/copy", "passed": [], "failures": []}, False, "no test ran"),
        ({"package": "/real", "passed": [], "failures": [ASSERTED]}, False, "did not run (1)"),
        ({}, False, "did not run (1)"),
    ],
    ids=["asserts", "crashes", "passes", "no test", "the original", "never started"],
)
def test_only_a_failed_assertion_on_the_copy_counts(
    found: dict[str, object], good: bool, words: str
) -> None:
    verdict = judge(Run(1, "", found), Path("/copy"))
    assert (verdict.good, verdict.words) == (good, words)
