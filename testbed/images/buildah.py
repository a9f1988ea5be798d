"""Follows a Dockerfile with buildah: no daemon, and a chroot instead of a container.

Its layers stay in the cache, so that a second version of an image takes seconds.
"""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from testbed.images.base import base_image, compute_base_key, make_images_directory
from testbed.images.commands import run, succeeds
from testbed.images.pip_settings import PipSettings, fetch_pip_settings
from testbed.programs.progress import Progress

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Buildah:
    """buildah with a storage of its own below ``root``."""

    root: Path
    driver: str

    def run(self, *arguments: str | Path) -> str:
        """Run one of buildah's commands on this storage."""
        return run(*self.command, *arguments)

    @property
    def command(self) -> tuple[str | Path, ...]:
        """buildah and the flags that name the storage."""
        places = ("--root", self.root / "layers", "--runroot", self.root / "run")
        return ("buildah", *places, "--storage-driver", self.driver)

    @property
    def base(self) -> str:
        """The base image's name in this storage."""
        return f"localhost/canarium-base:{compute_base_key()}"

    def import_base(self, file_system: Path) -> None:
        """Make an image of the base's root file system, unless it is one already."""
        if succeeds(*self.command, "inspect", "--type", "image", self.base):
            return
        container = self.run("from", "scratch")
        self.run("add", "--quiet", container, file_system, "/")
        self.run("config", "--env", f"PATH={PATH}", "--cmd", "python3", container)
        self.run("commit", "--quiet", "--rm", container, self.base)

    def build(self, context: Path, reference: str, build_args: Mapping[str, str]) -> None:
        """Build an image; its RUN lines see the machine's pip settings."""
        arguments = {"BASE": self.base, **build_args}
        with tempfile.TemporaryDirectory() as directory:
            volumes = make_volumes(fetch_pip_settings(), Path(directory) / "pip.conf")
            self.run(
                "bud",
                "--isolation=chroot",
                "--pull-never",
                "--force-rm",
                # A layer of vfs is a copy of everything below it: then better none in between.
                f"--layers={str(self.driver != 'vfs').lower()}",
                *make_times(build_args),
                *(word for volume in volumes for word in ("--volume", volume)),
                *(word for item in arguments.items() for word in ("--build-arg", "=".join(item))),
                "--tag",
                reference,
                context,
            )

    def save(self, reference: str, out: Path) -> None:
        """Write an image as a docker-archive."""
        self.run("push", "--quiet", reference, f"docker-archive:{out}:{reference}")


def make_times(build_args: Mapping[str, str]) -> list[str]:
    """The time of everything in the image, where the build has one: docker takes it from there."""
    epoch = build_args.get("SOURCE_DATE_EPOCH")
    return [] if epoch is None else [f"--timestamp={epoch}"]


def make_volumes(settings: PipSettings, pip_conf: Path) -> list[str]:
    """Write the pip.conf and return what is mounted for it, as buildah's --volume wants it."""
    settings.write(pip_conf)
    mounted = [f"{path}:{path}:ro" for path in settings.paths]
    return [f"{pip_conf}:/etc/pip.conf:ro", *mounted]


def prepare_buildah(progress: Progress) -> Buildah:
    """buildah with the base image in its storage: overlay, or vfs where there is no overlay."""
    file_system = base_image(progress)
    storage = make_images_directory() / "storage"
    overlay = Buildah(storage / "overlay", "overlay")
    works = succeeds(*overlay.command, "info")
    buildah = overlay if works else Buildah(storage / "vfs", "vfs")
    buildah.import_base(file_system)
    return buildah
