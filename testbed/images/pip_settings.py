"""Lets pip inside a build reach its index as pip on this machine does.

A workplace's index, proxy or certificate authority is named by pip's configuration or by the
environment; it is mounted for the length of the build, and nothing of it stays in the image.
"""

import ast
import os
import re
import sys
from collections.abc import Mapping
from configparser import RawConfigParser
from dataclasses import dataclass
from pathlib import Path

from testbed.images.commands import run

# What says where packages come from; the rest of a person's settings is none of a build's business.
OPTIONS = frozenset(
    (
        "cert",
        "client-cert",
        "default-timeout",
        "extra-index-url",
        "find-links",
        "index-url",
        "no-index",
        "proxy",
        "retries",
        "timeout",
        "trusted-host",
    )
)
AUTHORITIES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
LINE = re.compile(r"^(?P<section>:env:|[\w-]+)\.(?P<option>[\w-]+)=(?P<value>.*)$")


@dataclass(frozen=True, slots=True)
class PipSettings:
    """pip's options for one build, and the files and directories of this machine they name."""

    options: Mapping[str, str]
    paths: tuple[Path, ...]

    def write(self, path: Path) -> None:
        """Write them as a pip.conf that only its owner can read: an index may carry a password."""
        parser = RawConfigParser()
        parser["global"] = self.options
        path.touch(mode=0o600)
        with path.open("w") as file:
            parser.write(file)


def fetch_pip_settings(environment: Mapping[str, str] = os.environ) -> PipSettings:
    """What pip on this machine is told, by its configuration files or by the environment."""
    said = run(sys.executable, "-m", "pip", "--disable-pip-version-check", "config", "list")
    return make_pip_settings(said, environment)


def make_pip_settings(listed: str, environment: Mapping[str, str]) -> PipSettings:
    """The settings from the output of ``pip config list`` and, for the authority, the environment.

    Variables win over files, as they do for pip. Paths that don't exist are left out.
    """
    found = parse_listed(listed)
    authority = next((environment[name] for name in AUTHORITIES if environment.get(name)), None)
    if authority and "cert" not in found:
        found["cert"] = authority
    kept = {option: kept for option, value in found.items() if (kept := keep_existing(value))}
    named = (Path(word) for value in kept.values() for word in value.split() if is_path(word))
    return PipSettings(kept, tuple(dict.fromkeys(named)))


def parse_listed(listed: str) -> dict[str, str]:
    """The options that a build needs, whatever section they stand in; variables come last."""
    matches = [match for line in listed.splitlines() if (match := LINE.match(line))]
    ordered = sorted(matches, key=lambda match: match["section"] == ":env:")
    return {
        match["option"]: str(ast.literal_eval(match["value"]))
        for match in ordered
        if match["option"] in OPTIONS
    }


def keep_existing(value: str) -> str:
    """The words of a value without the paths that this machine doesn't have."""
    return "\n".join(word for word in value.split() if not is_path(word) or Path(word).exists())


def is_path(word: str) -> bool:
    """Whether a word of an option is a path here rather than an address or a number."""
    return word.startswith("/")
