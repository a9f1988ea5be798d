"""docker-archives: tar files that ``docker save`` writes and ``ctr image import`` reads.

The versions of one server share nearly all their layers; merged into one archive they are written,
kept and imported once.
"""

import io
import json
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

MANIFEST = "manifest.json"


def read_manifest(archive: Path) -> list[dict[str, Any]]:
    """One entry an image: its Config, RepoTags and Layers, the files being members of the tar."""
    with tarfile.open(archive) as tar:
        entries: list[dict[str, Any]] = json.load(extract(tar, MANIFEST))
    return entries


def read_config(archive: Path, reference: str) -> dict[str, Any]:
    """The configuration of one image in the archive; raises KeyError when it isn't there."""
    with tarfile.open(archive) as tar:
        for entry in json.load(extract(tar, MANIFEST)):
            if reference in entry["RepoTags"]:
                config: dict[str, Any] = json.load(extract(tar, entry["Config"]))
                return config
    raise KeyError(reference)


def merge(archives: Sequence[Path], out: Path) -> None:
    """Write one archive with the images of all of them, each layer once.

    Layers and configurations are named by their content in what docker and buildah write, so equal
    names are equal files.
    """
    written: set[str] = set()
    manifest = []
    with tarfile.open(out, "w", format=tarfile.USTAR_FORMAT) as target:
        for archive in archives:
            manifest += read_manifest(archive)
            copy_new(archive, target, written)
        add(target, MANIFEST, io.BytesIO(json.dumps(manifest).encode()))


def copy_new(archive: Path, target: tarfile.TarFile, written: set[str]) -> None:
    """Copy the files that the archive's manifest names and that aren't in the target yet."""
    entries = read_manifest(archive)
    with tarfile.open(archive) as source:
        for name in (name for entry in entries for name in (entry["Config"], *entry["Layers"])):
            if name not in written:
                written.add(name)
                add(target, name, extract(source, name))


def extract(tar: tarfile.TarFile, name: str) -> IO[bytes]:
    """A member's content; raises KeyError when it isn't there or isn't a file.

    docker writes a layer that it has already written as a symbolic link, which is followed.
    """
    found = tar.extractfile(name)
    if found is None:
        raise KeyError(name)
    return found


def add(tar: tarfile.TarFile, name: str, content: IO[bytes]) -> None:
    """Add a file of this content."""
    member = tarfile.TarInfo(name)
    member.mode = 0o444
    member.size = content.seek(0, io.SEEK_END)
    content.seek(0)
    tar.addfile(member, content)
