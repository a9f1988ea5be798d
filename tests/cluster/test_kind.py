"""What can be checked of kind clusters without a container engine."""

import json
import tarfile
from pathlib import Path

import pytest

from testbed.cluster import kind
from testbed.programs.processes import ClusterError
from testbed.programs.program_image import write_image
from testbed.programs.progress import Progress


def write_program(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def use_programs(monkeypatch: pytest.MonkeyPatch, directory: Path, **programs: str) -> None:
    """Let nothing but these shell scripts, and the shell's own tools, be on the PATH."""
    for name, text in programs.items():
        write_program(directory / name, text)
    monkeypatch.setenv("PATH", str(directory))


def test_the_configuration_maps_the_node_ports_of_both_gateways_to_loopback() -> None:
    config = kind.make_kind_config(web=20001, metrics=20002, envoy=20003)

    assert config == {
        "kind": "Cluster",
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "nodes": [
            {
                "role": "control-plane",
                "extraPortMappings": [
                    {"containerPort": 30080, "hostPort": 20001, "listenAddress": "127.0.0.1"},
                    {"containerPort": 30081, "hostPort": 20002, "listenAddress": "127.0.0.1"},
                    {"containerPort": 30082, "hostPort": 20003, "listenAddress": "127.0.0.1"},
                ],
            }
        ],
    }


@pytest.mark.parametrize(
    ("programs", "usable"),
    [
        ({}, False),
        ({"kind": "exit 0"}, False),
        ({"kind": "exit 0", "docker": "exit 1"}, False),
        ({"docker": "exit 0"}, False),
        ({"kind": "exit 0", "docker": "exit 1", "podman": "exit 0"}, True),
    ],
)
def test_kind_is_usable_when_it_is_there_and_an_engine_answers(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, programs: dict[str, str], usable: bool
) -> None:
    use_programs(monkeypatch, tmp_path, **programs)

    assert kind.is_usable() is usable


def test_a_cluster_is_created_loaded_and_deleted_with_kinds_own_commands(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    said = tmp_path / "said"
    records = f'echo "$@" >> {said}'
    use_programs(monkeypatch, tmp_path, kind=records, docker="exit 0", kubectl="echo ok")
    directory = tmp_path / "demo"
    directory.mkdir()

    cluster = kind.start_kind(directory, Progress())
    cluster.load_image(tmp_path / "image.tar")
    cluster.stop()

    files = f"--config {directory}/kind.json --kubeconfig {directory}/kubeconfig.yaml"
    assert said.read_text().splitlines() == [
        f"create cluster --name canarium-demo --wait 180s {files}",
        f"load image-archive {tmp_path}/image.tar --name canarium-demo",
        "delete cluster --name canarium-demo",
    ]


def test_what_kind_says_when_it_fails_is_passed_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    use_programs(monkeypatch, tmp_path, kind="echo no room >&2; exit 1")

    with pytest.raises(ClusterError, match="kind create cluster failed:\nno room"):
        kind.run_kind("create", "cluster")


def test_an_image_archive_names_its_image_and_holds_the_program(tmp_path: Path) -> None:
    program, archive = tmp_path / "program", tmp_path / "image.tar"
    program.write_bytes(b"\x7fELF" + bytes(14) + b"\x3e\x00" + b"code")

    write_image(program, "example.com/program:1", archive)

    with tarfile.open(archive) as opened:
        (row,) = json.load(opened.extractfile("manifest.json") or pytest.fail("no manifest"))
        config = json.load(opened.extractfile(row["Config"]) or pytest.fail("no config"))
        with tarfile.open(fileobj=opened.extractfile(row["Layers"][0])) as layer:
            assert [(entry.name, entry.mode) for entry in layer] == [("program", 0o755)]
    assert row["RepoTags"] == ["example.com/program:1"]
    assert (config["architecture"], config["config"]["Entrypoint"]) == ("amd64", ["/program"])


def test_the_same_program_gives_the_same_archive(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_bytes(b"\x7fELF" + bytes(14) + b"\xb7\x00" + b"code")

    write_image(program, "example.com/program:1", tmp_path / "first.tar")
    write_image(program, "example.com/program:1", tmp_path / "second.tar")

    assert (tmp_path / "first.tar").read_bytes() == (tmp_path / "second.tar").read_bytes()


def test_kind_says_where_what_scales_can_be_had_instead(tmp_path: Path) -> None:
    cluster = kind.KindCluster(
        name="x",
        directory=tmp_path,
        kubeconfig=tmp_path / "kubeconfig",
        kubectl_path=tmp_path / "kubectl",
        web_port=1,
        metrics_port=2,
        envoy_port=3,
    )

    for install in (cluster.install_metrics_server, cluster.install_keda):
        with pytest.raises(ClusterError, match="beside a local node only"):
            install(Progress())
