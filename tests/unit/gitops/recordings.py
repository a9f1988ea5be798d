"""The recorded ModelDeployments, and what docs/gitops says that each tool makes of them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

Json = dict[str, Any]
ROOT = Path(__file__).parents[3]
DOCUMENTS = ROOT / "docs" / "gitops"
RECORDED = ROOT / "tests" / "golden" / "gitops"
ROW = re.compile(r"^\| `([a-z-]+)` \| [^|]+ \| (\w+) \| (\w+) \| (\w+) \|$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Shown:
    """What the tools show of one object."""

    argo: str
    kstatus: str
    flux: str


def read_recordings() -> dict[str, Json]:
    """Every recorded object, by the name of its file."""
    return {path.stem: yaml.safe_load(path.read_text()) for path in sorted(RECORDED.glob("*.yaml"))}


def read_table() -> dict[str, Shown]:
    """The table in docs/gitops/README.md, by the name of the recording."""
    rows = ROW.findall((DOCUMENTS / "README.md").read_text())
    return {name: Shown(*columns) for name, *columns in rows}


def read_script() -> str:
    """The health script for Argo CD."""
    return (DOCUMENTS / "health.lua").read_text()


def read_blocks(document: str) -> list[Json]:
    """The YAML that one of the documents shows."""
    text = (DOCUMENTS / document).read_text()
    blocks = re.findall(r"^```yaml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [found for block in blocks for found in yaml.safe_load_all(block)]
