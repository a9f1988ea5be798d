"""What the images of the tests and the demo are made of, and that they are what they say.

The builds are real ones; they need root and a Debian, or a container engine.
"""

import json
import os
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import yaml

from testbed.images import Image, build_image, build_images
from testbed.images.archive import merge, read_config, read_manifest
from testbed.images.base import can_build_from_packages, make_images_directory
from testbed.images.build import compute_images_key
from testbed.images.context import compute_context_key
from testbed.images.iris import CONTEXT, VERSIONS
from testbed.images.pip_settings import PipSettings, make_pip_settings
from testbed.programs.processes import ClusterError

DOCKERFILE = """ARG BASE=docker.io/library/python:3.12-slim
FROM ${BASE}
ARG WORD
RUN echo "${WORD}" > /word
USER 10001:10001
"""
builds = pytest.mark.skipif(
    not can_build_from_packages() and os.environ.get("CI") != "true",
    reason="building needs root and apt-get",
)


@pytest.fixture
def _built_anew() -> Iterator[None]:
    yield
    for archive in make_images_directory().glob("canarium-word-*.tar"):
        archive.unlink()


def make_context(directory: Path, files: Mapping[str, str]) -> Path:
    """A build context with these files."""
    for name, content in {"Dockerfile": DOCKERFILE, **files}.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return directory


def make_archive(path: Path, reference: str, layers: Mapping[str, bytes]) -> Path:
    """A docker-archive of one image, made without a builder."""
    config = f"{reference.replace(':', '-')}.json"
    manifest = [{"Config": config, "RepoTags": [reference], "Layers": list(layers)}]
    content = {
        **layers,
        config: json.dumps({"config": {"User": reference}}).encode(),
        "manifest.json": json.dumps(manifest).encode(),
    }
    source = path.with_suffix("")
    source.mkdir()
    with tarfile.open(path, "w") as tar:
        for name, data in content.items():
            (source / name).write_bytes(data)
            tar.add(source / name, name)
    return path


def test_the_key_changes_with_the_content_of_a_file(tmp_path: Path) -> None:
    context = make_context(tmp_path, {"model/train.py": "one"})
    before = compute_context_key(context)
    (context / "model/train.py").write_text("two")
    assert compute_context_key(context) != before


def test_the_key_changes_with_the_name_and_the_mode_of_a_file(tmp_path: Path) -> None:
    context = make_context(tmp_path, {"a": "same"})
    keys = {compute_context_key(context)}
    (context / "a").chmod(0o755)
    keys.add(compute_context_key(context))
    (context / "a").rename(context / "b")
    keys.add(compute_context_key(context))
    assert len(keys) == 3


def test_the_key_changes_with_tags_and_build_arguments(tmp_path: Path) -> None:
    context = make_context(tmp_path, {})
    images = [
        Image("model", "v1", {"VERSION": "v1"}),
        Image("model", "v1", {"VERSION": "v2"}),
        Image("model", "v2", {"VERSION": "v1"}),
        Image("other", "v1", {"VERSION": "v1"}),
    ]
    assert len({compute_images_key(context, [image]) for image in images}) == len(images)


def test_the_key_does_not_change_with_files_that_dockerignore_shuts_out(tmp_path: Path) -> None:
    context = make_context(tmp_path, {".dockerignore": "*\n!kept\n!models\n", "kept": "1"})
    before = compute_context_key(context)
    make_context(context, {"README.md": "words", "versions/v2.yaml": "more"})
    assert compute_context_key(context) == before
    make_context(context, {"models/v1/settings.json": "{}"})
    assert compute_context_key(context) != before


def test_merged_archives_keep_every_image_and_each_layer_once(tmp_path: Path) -> None:
    first = make_archive(tmp_path / "1.tar", "model:v1", {"base": b"shared", "one": b"1"})
    second = make_archive(tmp_path / "2.tar", "model:v2", {"base": b"shared", "two": b"2"})
    merge([first, second], tmp_path / "both.tar")

    with tarfile.open(tmp_path / "both.tar") as tar:
        names = tar.getnames()
        base = tar.extractfile("base")
        assert base is not None
        assert base.read() == b"shared"
    assert sorted(names) == [
        "base", "manifest.json", "model-v1.json", "model-v2.json", "one", "two"
    ]  # fmt: skip
    assert [entry["RepoTags"] for entry in read_manifest(tmp_path / "both.tar")] == [
        ["model:v1"],
        ["model:v2"],
    ]
    assert read_config(tmp_path / "both.tar", "model:v2") == {"config": {"User": "model:v2"}}


def test_a_layer_that_docker_wrote_as_a_link_is_merged_as_a_file(tmp_path: Path) -> None:
    source = make_archive(tmp_path / "1.tar", "model:v1", {"first": b"same", "second": b""})
    with tarfile.open(tmp_path / "linked.tar", "w") as linked, tarfile.open(source) as tar:
        for member in tar:
            if member.name == "second":
                member.type, member.linkname = tarfile.SYMTYPE, "first"
            linked.addfile(member, tar.extractfile(member.name))
    merge([tmp_path / "linked.tar"], tmp_path / "merged.tar")
    with tarfile.open(tmp_path / "merged.tar") as merged:
        assert {m.name: m.isfile() for m in merged}["second"]
        second = merged.extractfile("second")
        assert second is not None
        assert second.read() == b"same"


def test_pip_in_a_build_is_told_what_pip_here_is_told(tmp_path: Path) -> None:
    authority = tmp_path / "ca.crt"
    authority.touch()
    listed = (
        f":env:.cert='{authority}'\n"
        "global.cert='/absent/by/now.crt'\n"
        "global.index-url='https://packages.example.com/simple'\n"
        "global.find-links='/absent/wheels'\n"
        "install.user='true'\n"
    )
    assert make_pip_settings(listed, {}) == PipSettings(
        {"cert": str(authority), "index-url": "https://packages.example.com/simple"}, (authority,)
    )


def test_pip_in_a_build_trusts_the_authority_that_the_environment_names(tmp_path: Path) -> None:
    authority = tmp_path / "ca.crt"
    authority.touch()
    settings = make_pip_settings("", {"SSL_CERT_FILE": str(authority)})
    assert settings == PipSettings({"cert": str(authority)}, (authority,))


def test_pip_in_a_build_is_told_nothing_where_nothing_is_set() -> None:
    assert make_pip_settings("", {}) == PipSettings({}, ())


def test_the_versions_of_the_example_differ_in_version_and_image_only() -> None:
    first = yaml.safe_load((CONTEXT / "modeldeployment.yaml").read_text())
    for version in (*VERSIONS[1:], "v6"):
        text = (CONTEXT / "versions" / f"{version}.yaml").read_text()
        wanted = json.loads(json.dumps(first))
        wanted["spec"]["model"]["version"] = version
        wanted["spec"]["server"]["image"] = f"canarium-iris:{version}"
        if version == "v6":
            wanted["spec"]["server"]["imagePullPolicy"] = "Never"
        assert yaml.safe_load(text) == wanted


@builds
@pytest.mark.timeout(900)
@pytest.mark.usefixtures("_built_anew")
def test_an_image_is_a_docker_archive_with_its_tag_and_user(tmp_path: Path) -> None:
    archive = build_image(make_context(tmp_path, {}), "canarium-word", "v1", {"WORD": "first"})

    [entry] = read_manifest(archive)
    config = read_config(archive, entry["RepoTags"][0])
    assert entry["RepoTags"] == ["docker.io/library/canarium-word:v1"]
    assert config["config"]["User"] == "10001:10001"
    assert len(config["rootfs"]["diff_ids"]) == len(entry["Layers"])
    assert read_last_file(archive, entry["Layers"], "word") == "first\n"


@builds
@pytest.mark.timeout(900)
@pytest.mark.usefixtures("_built_anew")
def test_versions_share_the_base_and_are_built_once(tmp_path: Path) -> None:
    context = make_context(tmp_path, {})
    images = [Image("canarium-word", tag, {"WORD": tag}) for tag in ("v1", "v2")]
    archive = build_images(context, images)

    first, second = read_manifest(archive)
    assert first["Layers"][0] == second["Layers"][0]
    assert first["Layers"][-1] != second["Layers"][-1]
    made = archive.stat().st_mtime_ns
    assert build_images(context, images) == archive
    assert archive.stat().st_mtime_ns == made


@builds
@pytest.mark.timeout(900)
def test_a_build_that_fails_says_why_and_leaves_no_archive(tmp_path: Path) -> None:
    context = make_context(tmp_path, {"Dockerfile": "ARG BASE\nFROM ${BASE}\nRUN cat /absent\n"})
    with pytest.raises(ClusterError, match="/absent: No such file"):
        build_image(context, "canarium-failing", "v1", {})


def read_last_file(archive: Path, layers: list[str], name: str) -> str:
    """A file of the image, from the uppermost layer that has it."""
    with tarfile.open(archive) as tar:
        for layer in reversed(layers):
            with tarfile.open(fileobj=tar.extractfile(layer)) as files:
                if name in files.getnames() and (found := files.extractfile(name)):
                    return found.read().decode()
    raise KeyError(name)
