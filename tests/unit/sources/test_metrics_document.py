"""What docs/metrics.md says of profiles and queries is what the code does."""

import re
from pathlib import Path

import yaml
from canarium.core.profiles import ISTIO, PROFILES, TRAEFIK, Profile
from canarium.core.promql import BUILT_IN, Template
from canarium.sources.own_profiles import parse_profile

DOCUMENT = (Path(__file__).parents[3] / "docs" / "metrics.md").read_text()


def read_row(section: str, beginning: str) -> str:
    """The one row of a section's tables that begins like this."""
    text = DOCUMENT.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    (row,) = [line for line in text.splitlines() if line.startswith(f"| {beginning} ")]
    return row


def list_names(profile: Profile) -> list[str]:
    names = (profile.requests, profile.failures, profile.duration)
    return [f"`{name}`" for name in names if name]


def test_every_profile_is_listed_with_the_names_that_it_reads() -> None:
    missing = [
        (name, metric)
        for name, profile in PROFILES.items()
        for metric in list_names(profile)
        if metric not in read_row("Pods", f"`{name}`")
    ]
    assert missing == []


def test_every_gateway_is_listed_with_the_names_that_it_reads() -> None:
    for name, profile in {"Traefik": TRAEFIK, "Istio": ISTIO}.items():
        row = read_row("Gateway", name)
        assert [metric for metric in list_names(profile) if metric not in row] == []


def test_the_profile_that_is_shown_can_be_used() -> None:
    (text,) = re.findall(r"^```yaml profile\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)
    assert parse_profile("shown", yaml.safe_load(text)).counts_errors


def test_the_query_that_is_shown_can_be_used() -> None:
    (text,) = re.findall(r"^```promql\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)
    assert Template(text).check({**BUILT_IN, "scale": "Number"}) == ()


def test_every_built_in_argument_is_listed() -> None:
    assert [name for name in BUILT_IN if f"`{{{{{name}}}}}`" not in DOCUMENT] == []
