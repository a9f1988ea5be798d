"""The files that the operator, and `canarium explain`, are started with: YAML, read once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from canarium.api.modeldeployment.defaults import NO_DEFAULTS, Defaults, parse_defaults
from canarium.api.modeldeployment.notifications import parse_receivers
from canarium.core.receivers import Receiver
from canarium.cost.prices import read_prices
from canarium.cost.usage import PriceList
from canarium.errors import ConfigError, SpecError

MAX_BYTES = 1024 * 1024
"As much as a ConfigMap may hold."


def read_defaults(path: str) -> Defaults:
    """Read a file in the shape of spec.rollout; no defaults without one.

    Raises ConfigError that names the file, each wrong field and what to write instead.
    """
    if not path:
        return NO_DEFAULTS
    try:
        return parse_defaults(_read(path, "defaults"))
    except SpecError as error:
        raise ConfigError(f"{path} has no defaults of use: {error}") from error


def read_receivers(path: str) -> tuple[Receiver, ...]:
    """Read the receivers of all news, by name; nobody without a file.

    Raises ConfigError that names the file, each wrong field and what to write instead.
    """
    if not path:
        return ()
    try:
        return parse_receivers(_read(path, "notifications"))
    except SpecError as error:
        raise ConfigError(f"{path} has no receivers of use: {error}") from error


def read_price_list(path: str) -> PriceList | None:
    """Read what an hour of each resource costs; None without a file.

    Raises ConfigError that names the file and what is wrong with it.
    """
    return read_prices(path) if path else None


def _read(path: str, what: str) -> Any:
    try:
        with Path(path).open(encoding="utf-8") as file:
            return yaml.safe_load(file.read(MAX_BYTES))
    except OSError as error:
        raise ConfigError(f"{what} cannot be read from {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is no text") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is no YAML: {' '.join(str(error).split())}") from error
