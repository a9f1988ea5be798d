"""The image of an earlier version: the package is replaced whole, everything else stays."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest

from testbed.images.archive import extract, read_config, read_manifest
from testbed.operators.earlier import SOURCE, find_package, make_earlier
from testbed.programs.program_image import make_tar

LIBRARY = "opt/lib"
NAME = "docker.io/library/canarium:earlier"


def write_image(path: Path, *places: str) -> Path:
    """An operator's image with packages in these folders."""
    files = {f"{place}/canarium/__init__.py": b"now" for place in places}
    row = {"Config": "config.json", "RepoTags": ["canarium:test"], "Layers": ["first.tar"]}
    config = json.dumps({"rootfs": {"diff_ids": ["sha256:first"]}, "config": {"User": "65532"}})
    outer = {
        "config.json": config.encode(),
        "first.tar": make_tar(files),
        "manifest.json": json.dumps([row]).encode(),
    }
    path.write_bytes(make_tar(outer))
    return path


def test_the_earlier_image_is_this_one_with_another_package_over_it(tmp_path: Path) -> None:
    source = tmp_path / "source.tar"
    source.write_bytes(make_tar({"operator/canarium/core/plan.py": b"then"}))
    made = make_earlier(write_image(tmp_path / "canarium.tar", LIBRARY), NAME, source)
    (entry,) = read_manifest(made)
    config = read_config(made, NAME)
    with (
        tarfile.open(made) as outer,
        tarfile.open(fileobj=extract(outer, entry["Layers"][1])) as layer,
    ):
        found = {name: extract(layer, name).read() for name in layer.getnames()}
    assert found == {
        f"{LIBRARY}/canarium/.wh..wh..opq": b"",
        f"{LIBRARY}/canarium/core/plan.py": b"then",
    }
    assert entry["Layers"][0] == "first.tar"
    assert (config["config"], len(config["rootfs"]["diff_ids"])) == ({"User": "65532"}, 2)


@pytest.mark.parametrize("places", [(), (LIBRARY, "usr/lib")])
def test_an_image_without_one_package_of_ours_is_refused(
    tmp_path: Path, places: tuple[str, ...]
) -> None:
    with pytest.raises(ValueError, match="packages canarium, not one"):
        find_package(write_image(tmp_path / "canarium.tar", *places))


def test_what_is_kept_of_the_earlier_version_renders_pods_without_spreading() -> None:
    with tarfile.open(SOURCE) as files:
        template = extract(files, "operator/canarium/core/resources/pod_template.py").read()
    assert b"make_pod_template" in template
    assert b"make_spreading" not in template
