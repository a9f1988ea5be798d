"""The image of an earlier version: what differs is laid over, what was compiled of it hidden."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest

from tests.cluster.images.archive import extract, read_config, read_manifest
from tests.cluster.program_image import make_tar
from tests.e2e.earlier import DEFAULT, make_changes, make_earlier

LIBRARY = "opt/lib/canarium"
TEMPLATE = f"{LIBRARY}/core/resources/pod_template.py"
COMPILED = f"{LIBRARY}/core/resources/__pycache__/pod_template.cpython-313.pyc"
NAME = "docker.io/library/canarium:earlier"


def write_image(path: Path, template: str = f"{{\n{DEFAULT}}}\n") -> Path:
    """An operator's image with just the files that matter."""
    files = {
        TEMPLATE: template.encode(),
        COMPILED: b"compiled",
        f"{LIBRARY}/__init__.py": b'"""Words."""\n\n__version__ = "0.1.0"\n',
        f"{LIBRARY}/core/plan.py": b"the same\n",
    }
    row = {"Config": "config.json", "RepoTags": ["canarium:test"], "Layers": ["first.tar"]}
    config = json.dumps({"rootfs": {"diff_ids": ["sha256:first"]}, "config": {"User": "65532"}})
    outer = {
        "config.json": config.encode(),
        "first.tar": make_tar(files),
        "manifest.json": json.dumps([row]).encode(),
    }
    path.write_bytes(make_tar(outer))
    return path


def test_the_earlier_image_is_this_one_with_a_layer_on_top(tmp_path: Path) -> None:
    made = make_earlier(write_image(tmp_path / "canarium.tar"), NAME)
    (entry,) = read_manifest(made)
    config = read_config(made, NAME)
    with (
        tarfile.open(made) as outer,
        tarfile.open(fileobj=extract(outer, entry["Layers"][1])) as layer,
    ):
        found = {name: extract(layer, name).read() for name in layer.getnames()}
    assert found == {
        TEMPLATE: b"{\n}\n",
        f"{LIBRARY}/__init__.py": b'"""Words."""\n\n__version__ = "0.0.9"\n',
        f"{LIBRARY}/core/resources/__pycache__/.wh.pod_template.cpython-313.pyc": b"",
    }
    assert entry["Layers"][0] == "first.tar"
    assert (config["config"], len(config["rootfs"]["diff_ids"])) == ({"User": "65532"}, 2)


@pytest.mark.parametrize("template", ["{}", f"{{\n{DEFAULT}{DEFAULT}}}\n"])
def test_a_template_that_is_no_more_what_it_was_is_said_and_not_passed_over(
    tmp_path: Path, template: str
) -> None:
    with pytest.raises(ValueError, match="times, not once"):
        make_changes(write_image(tmp_path / "canarium.tar", template))
