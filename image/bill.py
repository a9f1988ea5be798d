"""Completes the image's bill of materials: CycloneDX of the Python packages, which cyclonedx-py has
written, gets the Debian packages that files were taken from, and the program that it is all about.

Their control files are left in the image as well, where scanners look for them.
"""

from __future__ import annotations

import json
import platform
import re
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROGRAM = "canarium"
STATUS = Path("var/lib/dpkg/status.d")
"Where scanners look for the packages of images that have no dpkg (distroless began with it)."
FIELD = re.compile(r"^(?P<name>[A-Za-z-]+): (?P<value>.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Package:
    """A Debian package, and its paragraph of dpkg's status file."""

    name: str
    version: str
    architecture: str
    paragraph: str

    def make_component(self) -> dict[str, Any]:
        """The package as CycloneDX has it."""
        purl = f"pkg:deb/debian/{self.name}@{self.version}?arch={self.architecture}"
        return {
            "bom-ref": purl,
            "name": self.name,
            "purl": purl,
            "type": "library",
            "version": self.version,
        }


def find_packages(files: Iterable[Path]) -> list[Package]:
    """The packages that brought these files; what came from elsewhere has none."""
    # Before Debian 13 the files of /usr/lib are on record as those of /lib.
    names = {text for path in files for text in (str(path), str(path).removeprefix("/usr"))}
    command = ["dpkg-query", "--search", *sorted(names)]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    owners = {line.partition(": /")[0] for line in said.splitlines() if ": /" in line}
    found = {name for owner in owners for name in owner.split(", ")}
    return [read_package(name) for name in sorted(found) if not name.startswith("diversion")]


def read_package(name: str) -> Package:
    """What dpkg knows of an installed package."""
    command = ["dpkg-query", "--status", name]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    fields = {match["name"]: match["value"] for match in FIELD.finditer(said)}
    return Package(fields["Package"], fields["Version"], fields["Architecture"], said)


def make_interpreter() -> dict[str, Any]:
    """Python itself, where no package brought it."""
    purl = f"pkg:generic/python@{platform.python_version()}"
    version = platform.python_version()
    return {
        "bom-ref": purl,
        "name": "python",
        "purl": purl,
        "type": "platform",
        "version": version,
    }


def complete(bill: dict[str, Any], packages: Iterable[Package]) -> dict[str, Any]:
    """The bill with everything in it, about the program."""
    program = next(each for each in bill["components"] if each["name"] == PROGRAM)
    about = {key: value for key, value in program.items() if key != "externalReferences"}
    debian = list(packages)
    python = (
        [] if any(each.name.startswith("libpython3") for each in debian) else [make_interpreter()]
    )
    others = [each for each in bill["components"] if each is not program]
    return {
        **bill,
        "metadata": {**bill.get("metadata", {}), "component": {**about, "type": "application"}},
        "components": [*others, *(each.make_component() for each in debian), *python],
    }


def write(bill: Path, root: Path, place: str, files: Iterable[Path]) -> None:
    """Write the completed bill to ``place`` below the image's root, and the control files."""
    packages = find_packages(files)
    (root / STATUS).mkdir(parents=True)
    for package in packages:
        (root / STATUS / package.name).write_text(package.paragraph)
    text = json.dumps(complete(json.loads(bill.read_text()), packages), indent=1)
    (root / place).write_text(text + "\n")
