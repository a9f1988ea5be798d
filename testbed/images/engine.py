"""Follows a Dockerfile with the container engine that is there, on its default base image."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from testbed.images.commands import run, succeeds
from testbed.programs.processes import ClusterError

ENGINES = ("docker", "podman")


@dataclass(frozen=True, slots=True)
class Engine:
    """docker or podman, by the name of its command."""

    command: str

    def build(self, context: Path, reference: str, build_args: Mapping[str, str]) -> None:
        """Build an image into the engine's own storage."""
        arguments = [
            word for item in build_args.items() for word in ("--build-arg", "=".join(item))
        ]
        run(self.command, "build", "--quiet", *arguments, "--tag", reference, context)

    def save(self, reference: str, out: Path) -> None:
        """Write an image as a docker-archive."""
        run(self.command, "save", "--output", out, reference)


def find_engine() -> Engine:
    """The first engine that answers; raises ClusterError saying what to install."""
    for command in ENGINES:
        if shutil.which(command) and succeeds(command, "info"):
            return Engine(command)
    raise ClusterError(
        "building images needs either root on Debian or Ubuntu, or docker or podman that answers"
    )
