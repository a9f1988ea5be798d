"""An earlier version of the operator, as an image: this one's, with two lines changed.

It says another version, and renders pods as was done before docs/adr/0007-spreading.md: without
asking for them to be kept apart. It is made by laying two changed files over the image that was
built, so it costs a second and needs no history of the repository.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tests.cluster.cache import compute_key, keep
from tests.cluster.images.archive import MANIFEST, add, extract, read_manifest
from tests.cluster.program_image import make_tar

VERSION = "0.0.9"
TAG = "earlier"
DEFAULT = "            **make_spreading(pod, model, revision),\n"
"What a later version added to the template of every pod."
VERSION_LINE = re.compile(r'^__version__ = ".*"$', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class File:
    """A file of an image: where it is in it, and what it holds."""

    path: str
    content: bytes


def make_earlier(archive: Path, reference: str) -> Path:
    """The archive of the earlier version of an operator's image, under the name `reference`."""
    source = Path(__file__).read_bytes()
    key = compute_key(archive.name, reference, source)
    entry = archive.parent / f"{archive.stem}-{TAG}-{key}.tar"
    return keep(entry, lambda out: lay_over(archive, reference, out))


def lay_over(archive: Path, reference: str, out: Path) -> None:
    """Write an archive of the one image in another, with a layer of changed files on top."""
    layer = make_tar({file.path: file.content for file in make_changes(archive)})
    digest = hashlib.sha256(layer).hexdigest()
    (entry,) = read_manifest(archive)
    with tarfile.open(archive) as source, tarfile.open(out, "w") as target:
        config = json.load(extract(source, entry["Config"]))
        config["rootfs"]["diff_ids"].append(f"sha256:{digest}")
        config.get("history", []).append({"created_by": "tests/e2e/earlier.py"})
        raw = json.dumps(config).encode()
        config_name, layers = f"{hashlib.sha256(raw).hexdigest()}.json", list(entry["Layers"])
        added = f"{digest}.tar"
        named = {"Config": config_name, "RepoTags": [reference], "Layers": [*layers, added]}
        for name in dict.fromkeys(layers):
            add(target, name, extract(source, name))
        written = {added: layer, config_name: raw, MANIFEST: json.dumps([named]).encode()}
        for name, content in written.items():
            add(target, name, io.BytesIO(content))


def make_changes(archive: Path) -> list[File]:
    """The two files of the earlier version, and marks that take away what was compiled of them.

    Raises ValueError where a file isn't what it was: then there is another text to change.
    """
    changed = [
        change(find_file(archive, "canarium/core/resources/pod_template.py"), {DEFAULT: ""}),
        change_version(find_file(archive, "canarium/__init__.py")),
    ]
    return [*changed, *(mark for file in changed for mark in forget_compiled(archive, file))]


def change(file: File, replacements: Mapping[str, str]) -> File:
    """A file with texts replaced, each of which has to be there once."""
    text = file.content.decode()
    for old, new in replacements.items():
        if text.count(old) != 1:
            raise ValueError(f"{file.path} holds {old.strip()!r} {text.count(old)} times, not once")
        text = text.replace(old, new)
    return File(file.path, text.encode())


def change_version(file: File) -> File:
    """The file with the package's version, which is an earlier one."""
    text, times = VERSION_LINE.subn(f'__version__ = "{VERSION}"', file.content.decode())
    if times != 1:
        raise ValueError(f"{file.path} says {times} versions, not one")
    return File(file.path, text.encode())


def find_file(archive: Path, ending: str) -> File:
    """The one file of an image whose path ends like this."""
    found = [file for file in walk_files(archive) if file.path.endswith(f"/{ending}")]
    if len(found) != 1:
        raise ValueError(f"{archive.name} has {len(found)} files that end in {ending}, not one")
    return found[0]


def forget_compiled(archive: Path, file: File) -> list[File]:
    """Marks (of the OCI image format) that hide what a layer below has compiled of a file."""
    path = PurePosixPath(file.path)
    compiled = f"{path.parent}/__pycache__/{path.stem}."
    return [
        File(f"{path.parent}/__pycache__/.wh.{PurePosixPath(found.path).name}", b"")
        for found in walk_files(archive)
        if found.path.startswith(compiled)
    ]


def walk_files(archive: Path) -> Iterator[File]:
    """The files of canarium's package in the layers of an image, without a leading slash."""
    with tarfile.open(archive) as outer:
        for name in read_manifest(archive)[0]["Layers"]:
            with tarfile.open(fileobj=extract(outer, name)) as layer:
                for member in layer:
                    path = member.name.removeprefix("./")
                    if member.isfile() and "/canarium/" in f"/{path}":
                        content = layer.extractfile(member)
                        yield File(path, content.read() if content else b"")
