"""Builds images from Dockerfiles into docker-archives, each kept under the hash of its inputs."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from testbed.images.archive import merge
from testbed.images.base import (
    can_build_from_packages,
    compute_base_key,
    ensure_tools,
    make_images_directory,
)
from testbed.images.buildah import prepare_buildah
from testbed.images.context import compute_context_key
from testbed.images.engine import find_engine
from testbed.programs.cache import compute_key, exclusive, keep
from testbed.programs.progress import Progress


@dataclass(frozen=True, slots=True)
class Image:
    """One image of a context: ``name`` without a registry, and the build arguments it takes."""

    name: str
    tag: str
    build_args: Mapping[str, str] = field(default_factory=dict)

    @property
    def reference(self) -> str:
        """What a pod's ``image`` of ``name:tag`` means: the builders differ in what they'd add."""
        return f"docker.io/library/{self.name}:{self.tag}"


class Builder(Protocol):
    """What follows Dockerfiles."""

    def build(self, context: Path, reference: str, build_args: Mapping[str, str]) -> None:
        """Build an image into the builder's storage."""

    def save(self, reference: str, out: Path) -> None:
        """Write an image from there as a docker-archive."""


def build_image(
    context: Path,
    name: str,
    tag: str,
    build_args: Mapping[str, str],
    progress: Progress | None = None,
) -> Path:
    """The docker-archive of one image; raises ClusterError with the builder's last words."""
    return build_images(context, [Image(name, tag, build_args)], progress)


def build_images(context: Path, images: Sequence[Image], progress: Progress | None = None) -> Path:
    """One docker-archive with several images of a context, their common layers once.

    A context's Dockerfile names its base in ``ARG BASE``, which is given unless an image does.
    """
    progress = progress or Progress()
    entry = make_images_directory() / f"{images[0].name}-{compute_images_key(context, images)}.tar"
    title = f"image {images[0].name} ({', '.join(image.tag for image in images)})"
    if entry.exists():
        progress.cached(title)
        return entry
    return keep(entry, lambda out: build_archive(context, images, out, progress))


def compute_images_key(context: Path, images: Sequence[Image]) -> str:
    """A key over all that goes in: base, files, names and build arguments."""
    described = [f"{image.reference} {sorted(image.build_args.items())}" for image in images]
    base = compute_base_key() if can_build_from_packages() else "an engine's"
    return compute_key(base, compute_context_key(context), *described)


def build_archive(context: Path, images: Sequence[Image], out: Path, progress: Progress) -> None:
    """Build the images one after the other and write them into one archive."""
    # The layers are shared by all builds on the machine, so one goes at a time.
    with exclusive(make_images_directory() / ".storage.lock"):
        builder = prepare_builder(progress)
        for image in images:
            with progress.step(f"building image {image.name}:{image.tag}"):
                builder.build(context, image.reference, image.build_args)
        with progress.step(f"writing {len(images)} image(s) to one archive"):
            save_archive(builder, images, out)


def save_archive(builder: Builder, images: Sequence[Image], out: Path) -> None:
    """Save each image beside the archive, then merge them."""
    with tempfile.TemporaryDirectory(dir=out.parent) as directory:
        parts = [Path(directory) / f"{number}.tar" for number, _ in enumerate(images)]
        for image, part in zip(images, parts, strict=True):
            builder.save(image.reference, part)
        merge(parts, out)


def prepare_builder(progress: Progress) -> Builder:
    """buildah where we may install it, else the container engine that is there."""
    if not can_build_from_packages():
        return find_engine()
    ensure_tools(progress)
    return prepare_buildah(progress)
