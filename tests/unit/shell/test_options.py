"""One table of options: what is given by arguments is given by the environment, too."""

from __future__ import annotations

import re
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from canarium.cli.main import all_modules, make_parser
from canarium.errors import ConfigError
from canarium.shell.options import OPTIONS, Option, read_environment
from canarium.shell.runtime import Options

ROOT = Path(__file__).parents[3]
KOPFS_OWN = {"kubeconfig", "context", "log_format", "log_level"}
"What `kopf run` has options of its own for."
SAMPLES: dict[str, tuple[list[str], str, object]] = {
    "namespaces": (["--namespace", "a", "b"], "a,b", ("a", "b")),
    "disable": (["--disable", "Istio", "--disable", "Usage"], "Istio,Usage", ("Istio", "Usage")),
    "probe_address": (["--probe-address", ":9000"], ":9000", ":9000"),
    "protect_metrics": (["--protect-metrics"], "true", True),
    "lease_namespace": (["--lease-namespace", "ops"], "ops", "ops"),
    "leader_election": (["--no-leader-election"], "false", False),
    "resync_seconds": (["--resync-seconds", "7.5"], "7.5", 7.5),
    "prometheus_url": (["--prometheus-url", "http://p:9090"], "http://p:9090", "http://p:9090"),
    "tenant_queries": (["--tenant-queries", "Any"], "Any", "Any"),
    "allow_addresses": (["--allow-address", "a:1", "*.b"], "a:1,*.b", ("a:1", "*.b")),
    "public_addresses": (["--no-public-addresses"], "false", False),
    "allow_networks": (["--allow-network", "10.0.0.0/8"], "10.0.0.0/8", ("10.0.0.0/8",)),
    "profiles": (["--profiles", "/p"], "/p", "/p"),
    "prices": (["--prices", "/p.yaml"], "/p.yaml", "/p.yaml"),
    "defaults": (["--defaults", "/d.yaml"], "/d.yaml", "/d.yaml"),
    "notifications": (["--notifications", "/n.yaml"], "/n.yaml", "/n.yaml"),
}
"Of each option: as arguments, as a variable, and the value."


def parse_arguments(*words: str) -> dict[str, Any]:
    """What the command line is read as, with lists as the environment has them."""
    found = vars(make_parser(all_modules()).parse_args(["operator", "run", *words]))
    known = {option.name for option in OPTIONS}
    return {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in found.items()
        if name in known
    }


def test_every_option_has_a_sample() -> None:
    assert {option.name for option in OPTIONS} == SAMPLES.keys() | KOPFS_OWN


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_an_option_is_the_same_by_argument_and_by_the_environment(option: Option) -> None:
    assert parse_arguments() == read_environment({})
    if option.name in KOPFS_OWN:
        assert option.variable == ""
        return
    words, text, value = SAMPLES[option.name]
    by_argument, by_variable = parse_arguments(*words), read_environment({option.variable: text})
    assert by_argument == by_variable
    assert by_argument[option.name] == value
    assert by_argument[option.name] != option.default


def test_what_is_left_out_or_empty_is_the_default() -> None:
    empty = {option.variable: "" for option in OPTIONS}
    assert Options.parse(read_environment({})) == Options()
    assert Options.parse(read_environment(empty)) == Options()


def test_all_namespaces_may_be_named_as_such() -> None:
    assert Options.parse(parse_arguments("--namespace", "all")).namespaces == ()
    assert Options.parse(read_environment({"CANARIUM_NAMESPACES": "all"})).namespaces == ()


def test_what_is_disabled_and_allowed_is_read() -> None:
    words = ("--disable", "Istio", "--disable", "Usage", "--allow-network", "10.0.0.0/8")
    found = Options.parse(parse_arguments(*words))
    assert found.disabled == ("Istio", "Usage")
    assert found.measuring.allowed == (ip_network("10.0.0.0/8"),)


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("CANARIUM_LEADER_ELECTION", "no", "CANARIUM_LEADER_ELECTION='no': write true or false"),
        ("CANARIUM_PROTECT_METRICS", "1", "CANARIUM_PROTECT_METRICS='1': write true or false"),
        ("CANARIUM_RESYNC_SECONDS", "5m", "CANARIUM_RESYNC_SECONDS='5m': write a number"),
    ],
)
def test_a_variable_that_says_nothing_of_use_is_named(name: str, text: str, told: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(told)):
        read_environment({name: text})


def test_the_table_of_the_documents_is_this_one() -> None:
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(--[a-z-]+)[^|]*?(?:\\\|[^|]*?)*\| ([^|]+) \|", page, re.MULTILINE)
    told = {flag: re.sub(r"=.*", "", cell.strip("` ")) for flag, cell in rows}
    known = {option.flag: option.variable or "\u2013" for option in OPTIONS}
    assert told == {**known, "--kubeconfig": "KUBECONFIG"}
