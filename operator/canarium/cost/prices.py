"""Prices from a file, as OpenCost's custom pricing has them."""

from __future__ import annotations

from pathlib import Path

import yaml

from canarium.cost.reading import parse_prices
from canarium.cost.usage import PriceList
from canarium.errors import ConfigError


def read_prices(path: str | Path) -> PriceList:
    """Read a file of YAML or JSON. Raises ConfigError with what is wrong with it."""
    try:
        return parse_prices(yaml.safe_load(Path(path).read_text(encoding="utf-8")))
    except OSError as error:
        raise ConfigError(f"prices cannot be read from {path}: {error.strerror}") from error
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"{path} has no prices: {error}") from error
