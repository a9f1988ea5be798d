"""What `make test` runs can be run, and is all that there is."""

from collections import Counter
from pathlib import Path

import pytest

from tests.tiers import TIERS, Tier

ROOT = Path(__file__).parents[2]


def list_files(tier: Tier) -> list[Path]:
    """The test files that a tier's command collects; none of a tier that isn't pytest's."""
    if "pytest" not in tier.command:
        return []
    ignored = [ROOT / word.split("=")[1] for word in tier.command if word.startswith("--ignore=")]
    paths = [ROOT / word for word in tier.command if word.startswith("tests/")]
    found = {file for path in paths for file in path.rglob("test_*.py")}
    return [file for file in found if not any(file.is_relative_to(each) for each in ignored)]


@pytest.mark.parametrize("tier", TIERS, ids=lambda tier: tier.name)
def test_no_two_files_of_a_run_have_the_same_name(tier: Tier) -> None:
    """Outside packages the name alone is the module's, and pytest refuses the second one."""
    names = Counter(
        file.name for file in list_files(tier) if not (file.parent / "__init__.py").exists()
    )
    assert [name for name, count in names.items() if count > 1] == []


def test_every_test_file_is_in_a_tier() -> None:
    collected = {file for tier in TIERS for file in list_files(tier)}
    assert {*(ROOT / "tests").rglob("test_*.py")} - collected == set()
