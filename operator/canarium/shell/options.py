"""What the operator can be told at its start: one table for arguments, environment and documents.

`canarium operator run` makes its arguments from it, and `kopf run`, which has options of its own,
is told the same by environment variables. docs/operations.md is compared with it, and so are the
arguments that the chart renders. Nothing heavy is imported: `--help` needs no more than this.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from canarium.core.lending import TENANT_QUERIES
from canarium.errors import ConfigError
from canarium.routing import ROUTERS

Value: TypeAlias = str | float | bool | tuple[str, ...] | None
Group = Literal["what it serves", "the process", "where it measures", "what holds for all models"]


@dataclass(frozen=True, slots=True)
class Option:
    """One option. `default` also says what it takes: a text, a number, a switch, or several texts.

    A switch that is on by default has an argument that begins with `--no-` and turns it off.
    """

    name: str
    "As `Options.parse` of `shell.runtime` knows it."
    group: Group
    help: str
    default: Value = ""
    argument: str = ""
    "As on the command line; made from the name where it is left out."
    metavar: str = ""
    choices: tuple[str, ...] = ()
    environment: str = ""
    'The variable without its prefix, made from the name; "-" for none: kopf has its own.'

    @property
    def flag(self) -> str:
        """The argument."""
        off = "no-" if self.default is True else ""
        return self.argument or f"--{off}{self.name.replace('_', '-')}"

    @property
    def variable(self) -> str:
        """The environment variable, or nothing."""
        if self.environment == "-":
            return ""
        return f"CANARIUM_{self.environment or self.name.upper()}"

    def read(self, text: str) -> Value:
        """The value that an environment variable gives. Raises ConfigError."""
        if isinstance(self.default, bool):
            return self._read_switch(text)
        if isinstance(self.default, tuple):
            return tuple(each for each in text.split(",") if each)
        return self._read_number(text) if isinstance(self.default, float) else text

    def _read_switch(self, text: str) -> bool:
        if text not in ("true", "false"):
            raise ConfigError(f"{self.variable}={text!r}: write true or false")
        return text == "true"

    def _read_number(self, text: str) -> float:
        try:
            return float(text)
        except ValueError:
            raise ConfigError(f"{self.variable}={text!r}: write a number") from None


OPTIONS = (
    Option(
        "kubeconfig",
        "what it serves",
        "instead of $KUBECONFIG or the pod's own",
        default=None,
        metavar="FILE",
        environment="-",
    ),
    Option(
        "context",
        "what it serves",
        "of the kubeconfig; the current one if none",
        default=None,
        metavar="NAME",
        environment="-",
    ),
    Option(
        "namespaces",
        "what it serves",
        "serve only these namespaces (all of them if none is named)",
        default=(),
        argument="--namespace",
        metavar="NAME",
    ),
    Option(
        "disable",
        "what it serves",
        "kinds that it neither reads nor writes, and so needs no rights for:"
        f" {', '.join(router.name for router in ROUTERS.values() if router.routes)},"
        " HPA, KEDA, Jobs, Usage",
        default=(),
        metavar="FEATURE",
    ),
    Option(
        "probe_address",
        "the process",
        "where /livez, /readyz and /metrics are answered (127.0.0.1:8080)",
        default="127.0.0.1:8080",
        metavar="HOST:PORT",
    ),
    Option(
        "protect_metrics",
        "the process",
        "answer /metrics only to accounts that the apiserver lets get /metrics",
        default=False,
    ),
    Option(
        "lease_namespace",
        "the process",
        "where it keeps its Lease; the context's if none",
        metavar="NAME",
    ),
    Option(
        "leader_election",
        "the process",
        "act at once: only where no other operator can be running",
        default=True,
    ),
    Option(
        "resync_seconds",
        "the process",
        "how often our objects are listed, in case a watch has lost something (300)",
        default=300.0,
        metavar="N",
    ),
    Option(
        "log_format",
        "the process",
        "(text)",
        default="text",
        choices=("text", "json"),
        environment="-",
    ),
    Option(
        "log_level",
        "the process",
        "(info)",
        default="info",
        choices=("debug", "info", "warning", "error"),
        environment="-",
    ),
    Option(
        "prometheus_url",
        "where it measures",
        "whom metrics ask that name no Prometheus of their own",
        metavar="URL",
    ),
    Option(
        "tenant_queries",
        "where it measures",
        "which series queries of a ModelDeployment or MetricTemplate may read there (OwnNamespace)",
        default=TENANT_QUERIES[0],
        choices=TENANT_QUERIES,
    ),
    Option(
        "allow_addresses",
        "where it measures",
        "what namespaces may have asked beside Services of their own: host[:port], *.suffix, a"
        " network such as 10.0.0.0/8, or * for all",
        default=(),
        argument="--allow-address",
        metavar="RULE",
    ),
    Option(
        "public_addresses",
        "where it measures",
        "ask no public names by https, either, that are not allowed",
        default=True,
    ),
    Option(
        "allow_networks",
        "where it measures",
        "the same as --allow-address with a network",
        default=(),
        argument="--allow-network",
        metavar="CIDR",
    ),
    Option(
        "profiles",
        "what holds for all models",
        "where a ConfigMap with profiles of your own is mounted",
        metavar="DIRECTORY",
    ),
    Option(
        "prices",
        "what holds for all models",
        "money for an hour of a CPU, a GiB of RAM and a GPU, as OpenCost's custom pricing",
        metavar="FILE",
    ),
    Option(
        "defaults",
        "what holds for all models",
        "what ModelDeployments get for the fields that they leave out of spec.rollout",
        metavar="FILE",
    ),
    Option(
        "notifications",
        "what holds for all models",
        "who is told of all rollouts: a name, type and file with the address of each",
        metavar="FILE",
    ),
)


def add_arguments(parser: Any) -> None:
    """Add every option to an argparse parser, group by group."""
    groups = dict.fromkeys(option.group for option in OPTIONS)
    added = {name: parser.add_argument_group(name) for name in groups}
    for option in OPTIONS:
        added[option.group].add_argument(option.flag, dest=option.name, **_describe(option))


def _describe(option: Option) -> dict[str, Any]:
    """How argparse is told what an option takes."""
    if isinstance(option.default, bool):
        action = "store_false" if option.default else "store_true"
        return {"help": option.help, "action": action}
    told: dict[str, Any] = {"help": option.help, "default": option.default}
    if option.choices:
        return {**told, "choices": option.choices}
    told["metavar"] = option.metavar
    if isinstance(option.default, tuple):  # several values, which may be given several times
        return {**told, "nargs": "+", "action": "extend", "default": []}
    return {**told, "type": float} if isinstance(option.default, float) else told


def read_environment(environment: Mapping[str, str]) -> dict[str, Value]:
    """The value of every option by CANARIUM_… variables, or its default. Raises ConfigError."""
    return {
        option.name: option.read(environment[option.variable])
        if environment.get(option.variable)
        else option.default
        for option in OPTIONS
    }
