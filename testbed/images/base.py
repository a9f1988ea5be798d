"""The image that ours rest on: a small Debian with Python, put together from Debian's packages.

Debian 12, because its Python 3.11 is one that MLServer supports; the machine's own may be newer.
"""

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from testbed.images.commands import run
from testbed.programs.cache import compute_key, keep, make_cache_directory
from testbed.programs.packages import run_apt
from testbed.programs.processes import ClusterError
from testbed.programs.progress import Progress

SUITE = "bookworm"
# usr-is-merged stands in for usrmerge, which would bring all of Perl.
PACKAGES = ("usr-is-merged", "ca-certificates", "python3", "python3-pip", "python3-venv")
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
MERGED_USR = Path("/usr/share/mmdebstrap/hooks/merged-usr")
UNNEEDED = ("/usr/share/man/*", "/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/info/*")
OPTIONS = (
    "--quiet",
    "--variant=minbase",
    f"--include={','.join(PACKAGES)}",
    f"--hook-dir={MERGED_USR}",
    '--aptopt=APT::Install-Recommends "false"',
    *(f"--dpkgopt=path-exclude={path}" for path in UNNEEDED),
)
# The packages that bring what building needs, and a file of each.
TOOLS = {
    "mmdebstrap": Path("/usr/bin/mmdebstrap"),
    "debian-archive-keyring": KEYRING,
    "buildah": Path("/usr/bin/buildah"),
}


def can_build_from_packages() -> bool:
    """Whether this is Debian or Ubuntu and we are root."""
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def compute_base_key() -> str:
    """What the base image is kept under; it changes with what we ask for, not with Debian."""
    return compute_key(SUITE, *OPTIONS)


def make_images_directory() -> Path:
    """Where archives, the base and buildah's layers are kept."""
    directory = make_cache_directory() / "images"
    directory.mkdir(exist_ok=True)
    return directory


def base_image(progress: Progress | None = None) -> Path:
    """The base image's root file system as a tar file; half a minute when it isn't cached."""
    progress = progress or Progress()
    entry = make_images_directory() / f"base-{compute_base_key()}.tar"
    if entry.exists():
        progress.cached("base image")
        return entry
    ensure_tools(progress)
    with progress.step(f"putting the base image together (Debian {SUITE}, about 30 s)"):
        return keep(entry, assemble)


def assemble(out: Path) -> None:
    """Fetch and unpack the packages into a tar file."""
    run("mmdebstrap", *OPTIONS, f"--keyring={KEYRING}", SUITE, out)


def ensure_tools(progress: Progress) -> None:
    """Install the Debian packages that building needs, when they are missing."""
    missing = find_missing(TOOLS.items())
    if not missing:
        return
    if not can_build_from_packages():
        raise ClusterError(f"building images needs root and apt-get, for {', '.join(missing)}")
    with progress.step(f"installing {', '.join(missing)}"):
        run_apt("update")
        run_apt("install", "--yes", "--no-install-recommends", *missing)


def find_missing(tools: Iterable[tuple[str, Path]]) -> list[str]:
    """The packages whose file isn't there."""
    return [package for package, file in tools if not file.exists()]
