"""What docs/metrics.md says of profiles and queries is what the code does."""

import re
from pathlib import Path

import yaml
from canarium.metrics.own_profiles import parse_profile
from canarium.queries.profiles import (
    GRPC_ERRORS,
    GRPC_PROFILES,
    PROFILES,
    Profile,
)
from canarium.queries.promql import BUILT_IN, Template
from canarium.routing import ROUTERS

DOCUMENT = (Path(__file__).parents[3] / "docs" / "metrics.md").read_text()


def read_row(section: str, beginning: str) -> str:
    """The first row of a section's tables that begins like this."""
    text = DOCUMENT.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    return next(line for line in text.splitlines() if line.startswith(f"| {beginning} "))


def list_names(profile: Profile) -> list[str]:
    names = (profile.requests, profile.failures, profile.successes, profile.duration)
    return [f"`{name}`" for name in names if name]


def test_every_profile_is_listed_with_the_names_that_it_reads() -> None:
    missing = [
        (name, metric)
        for name, profile in PROFILES.items()
        for metric in list_names(profile)
        if metric not in read_row("Pods", f"`{name}`")
    ]
    assert missing == []


def test_every_profile_by_grpc_is_listed_with_the_names_that_it_reads() -> None:
    section = DOCUMENT.partition("\n### gRPC\n")[2].partition("\n### ")[0]
    apart = {name: found for name, found in GRPC_PROFILES.items() if found != PROFILES[name]}
    rows = {name: row for name in apart for row in section.splitlines() if f"| `{name}` |" in row}
    missing = [
        (name, metric)
        for name, profile in apart.items()
        for metric in list_names(profile)
        if metric not in rows[name]
    ]
    assert missing == []


def test_every_code_that_is_an_error_is_listed() -> None:
    told = DOCUMENT.partition("**Which codes are errors**")[2].partition(", by name")[0]
    codes = re.findall("`([A-Z_]+)`", told)
    assert all(re.search(GRPC_ERRORS, code) for code in codes)
    assert len(codes) == 6


def test_every_gateway_is_listed_with_the_names_that_it_reads() -> None:
    for name, counters in ((r.name, r.counters) for r in ROUTERS.values() if r.counters):
        row = read_row("Gateway", name)
        assert [metric for metric in list_names(counters.profile) if metric not in row] == []


def test_the_profile_that_is_shown_can_be_used() -> None:
    (text,) = re.findall(r"^```yaml profile\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)
    assert parse_profile("shown", yaml.safe_load(text)).counts_errors


def test_the_query_that_is_shown_can_be_used() -> None:
    (text,) = re.findall(r"^```promql\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)
    assert Template(text).check({**BUILT_IN, "scale": "Number"}) == ()


def test_every_built_in_argument_is_listed() -> None:
    assert [name for name in BUILT_IN if f"`{{{{{name}}}}}`" not in DOCUMENT] == []
