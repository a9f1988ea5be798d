"""The operator as it was at an earlier commit, as an image, to be upgraded from and gone back to.

It is the image that was built here with the package replaced, since what the package needs is still
the same: so it costs a second, and no other checkout has to be built (earlier_version/README.md).
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path, PurePosixPath

from testbed.images.archive import MANIFEST, add, extract, read_manifest
from testbed.programs.cache import compute_key, keep
from testbed.programs.program_image import make_tar

TAG = "earlier"
SOURCE = Path(__file__).parent / "earlier_version" / "operator.tar.xz"
PREFIX = "operator/"
"What paths in the source begin with, before the package's name."
PACKAGE = "canarium"
OPAQUE = ".wh..wh..opq"
"A file of this name (OCI image format) hides everything that layers below have in its folder."


def make_earlier(archive: Path, reference: str, source: Path = SOURCE) -> Path:
    """The archive of the earlier version of an operator's image, under the name `reference`."""
    key = compute_key(archive.name, reference, source.read_bytes(), Path(__file__).read_bytes())
    entry = archive.parent / f"{archive.stem}-{TAG}-{key}.tar"
    return keep(entry, lambda out: lay_over(archive, reference, source, out))


def lay_over(archive: Path, reference: str, source: Path, out: Path) -> None:
    """Write an archive of the one image in another, with the package replaced in a new layer."""
    layer = make_tar(find_files(source, find_package(archive)))
    digest = hashlib.sha256(layer).hexdigest()
    (entry,) = read_manifest(archive)
    with tarfile.open(archive) as old, tarfile.open(out, "w") as new:
        config = json.load(extract(old, entry["Config"]))
        config["rootfs"]["diff_ids"].append(f"sha256:{digest}")
        config.get("history", []).append({"created_by": Path(__file__).name})
        raw = json.dumps(config).encode()
        config_name, added = f"{hashlib.sha256(raw).hexdigest()}.json", f"{digest}.tar"
        layers = [*entry["Layers"], added]
        named = {"Config": config_name, "RepoTags": [reference], "Layers": layers}
        for name in dict.fromkeys(entry["Layers"]):
            add(new, name, extract(old, name))
        written = {added: layer, config_name: raw, MANIFEST: json.dumps([named]).encode()}
        for name, content in written.items():
            add(new, name, io.BytesIO(content))


def find_files(source: Path, place: PurePosixPath) -> dict[str, bytes]:
    """The files of the earlier package by their paths in the image, and the mark before them."""
    found = {str(place / OPAQUE): b""}
    with tarfile.open(source) as files:
        for member in files:
            if member.isfile():
                inside = PurePosixPath(member.name).relative_to(f"{PREFIX}{PACKAGE}")
                found[str(place / inside)] = extract(files, member.name).read()
    return found


def find_package(archive: Path) -> PurePosixPath:
    """Where an image has the operator's package; raises ValueError unless it is in one place."""
    ending = f"/{PACKAGE}/__init__.py"
    with tarfile.open(archive) as outer:
        names = [
            member.name
            for name in read_manifest(archive)[0]["Layers"]
            for member in tarfile.open(fileobj=extract(outer, name))  # noqa: SIM115 - no file
            if member.name.endswith(ending)
        ]
    if len(names) != 1:
        raise ValueError(f"{archive.name} has {len(names)} packages {PACKAGE}, not one")
    return PurePosixPath(names[0].removeprefix("./")).parent
