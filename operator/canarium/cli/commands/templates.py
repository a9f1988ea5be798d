"""`canarium templates`: the ClusterMetricTemplates that come with Canarium."""

from __future__ import annotations

import argparse
import sys
from importlib.resources import files
from typing import Any

from canarium.errors import CommandError


def add_parser(subparsers: argparse._SubParsersAction[Any]) -> None:
    """Add the command; its `run` takes the parsed arguments and returns the exit code."""
    parser = subparsers.add_parser(
        "templates",
        help="print the metric templates that come with Canarium",
        description="Print the ClusterMetricTemplates that come with Canarium, for kubectl apply"
        " -f -; those that are named, or all.",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="such as http-latency-p99")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print, and return the exit code."""
    templates = read_templates()
    unknown = [name for name in arguments.names if name not in templates]
    if unknown:
        raise CommandError(f"no template {unknown[0]}; there are: {', '.join(templates)}")
    wanted = arguments.names or templates
    sys.stdout.write("---\n".join(templates[name] for name in wanted))
    return 0


def read_templates() -> dict[str, str]:
    """The templates in YAML, by name."""
    found = sorted(files("canarium.templates.shipped").iterdir(), key=lambda each: each.name)
    return {
        each.name.removesuffix(".yaml"): each.read_text(encoding="utf-8")
        for each in found
        if each.name.endswith(".yaml")
    }
