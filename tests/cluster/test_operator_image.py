"""The operator's image: how large, what is in it, that it can be built again, and that it starts."""

import gzip
import json
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.images.archive import extract, read_config, read_manifest
from tests.cluster.images.bill import read_file
from tests.cluster.images.build import prepare_builder
from tests.cluster.images.context import find_context_files
from tests.cluster.images.operator import BILL, CONTEXT, OPERATOR, build_operator
from tests.cluster.processes import ClusterError
from tests.cluster.progress import Progress

LIMIT = 150 * 10**6
"Bytes, compressed as a registry keeps it."
SHELLS = set(
    ["sh", "bash", "dash", "busybox", "perl", "pip", "pip3", "gcc", "cc", "apt", "apt-get", "dpkg"]
)


@pytest.fixture(scope="module")
def archive() -> Path:
    """The image; skipped where none can be built, which with CI=true is a failure."""
    try:
        return build_operator()
    except ClusterError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def names(archive: Path) -> list[str]:
    """The paths of everything in the image."""
    (image,) = read_manifest(archive)
    found: list[str] = []
    with tarfile.open(archive) as tar:
        for name in image["Layers"]:
            with tarfile.open(fileobj=extract(tar, name)) as layer:
                found += layer.getnames()
    return found


def test_it_is_small(archive: Path) -> None:
    (image,) = read_manifest(archive)
    with tarfile.open(archive) as tar:
        sizes = [len(gzip.compress(extract(tar, name).read(), 6)) for name in image["Layers"]]
    print(f"compressed: {sum(sizes) / 1e6:.1f} MB in {len(sizes)} layer(s)")
    assert sum(sizes) < LIMIT


def test_there_is_no_shell_no_compiler_and_no_package_manager_in_it(names: list[str]) -> None:
    programs = {Path(name).name for name in names if Path(name).parent.name in ("bin", "sbin")}
    assert programs & SHELLS == set()
    assert [name for name in names if "/site-packages/pip/" in name or "ensurepip" in name] == []


def test_it_runs_as_a_numbered_user_that_is_not_root(archive: Path) -> None:
    config: dict[str, Any] = read_config(archive, OPERATOR.reference)["config"]
    assert (config["User"], config["Cmd"]) == ("65532:65532", ["operator", "run"])


def test_its_bill_of_materials_names_every_locked_package(archive: Path) -> None:
    bill = json.loads(read_file(archive, BILL))
    lines = (CONTEXT / "requirements.lock").read_text().splitlines()
    pins = {line.split()[0].split(";")[0] for line in lines if "==" in line and line[0].isalpha()}
    listed = {f"{each['name'].lower()}=={each['version']}" for each in bill["components"]}
    assert pins - listed == set()
    assert bill["metadata"]["component"]["name"] == "canarium"
    assert {each["name"] for each in bill["components"] if "pkg:deb/" in each["purl"]} >= {
        "libc6",
        "libssl3",
    }


@pytest.mark.timeout(300)
def test_the_same_sources_elsewhere_give_the_same_bytes(archive: Path, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere"
    for path in find_context_files(CONTEXT):
        target = copy / path.relative_to(CONTEXT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)  # its time is another one
        target.chmod(path.stat().st_mode)
    ignore = CONTEXT / ".dockerignore"
    shutil.copyfile(ignore, copy / ignore.name)
    again = build_again(copy, tmp_path / "again.tar")
    assert read_manifest(again)[0]["Layers"] == read_manifest(archive)[0]["Layers"]


def build_again(context: Path, out: Path) -> Path:
    """Build past the cache: not even a layer of the first build is used."""
    builder = prepare_builder(Progress())
    reference = f"{OPERATOR.reference}-again"
    builder.build(context, reference, OPERATOR.build_args)
    builder.save(reference, out)
    return out
