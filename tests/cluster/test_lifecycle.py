"""Which kind of cluster a wish gets on which machine."""

import json
from pathlib import Path

import pytest

from testbed.cluster import existing, kind, lifecycle, node
from testbed.cluster.lifecycle import Wish
from testbed.programs.processes import ClusterError
from testbed.programs.progress import Progress


def make_machine(monkeypatch: pytest.MonkeyPatch, *, has_kind: bool, is_root: bool) -> None:
    monkeypatch.setattr(kind, "is_usable", lambda: has_kind)
    monkeypatch.setattr(node, "is_usable", lambda: is_root)


@pytest.mark.parametrize(
    ("has_kind", "is_root", "chosen"),
    [(True, True, "kind"), (True, False, "kind"), (False, True, "node")],
)
def test_kind_comes_before_a_local_node(
    monkeypatch: pytest.MonkeyPatch, has_kind: bool, is_root: bool, chosen: str
) -> None:
    make_machine(monkeypatch, has_kind=has_kind, is_root=is_root)

    assert lifecycle.choose_kind(Wish()) == chosen


def test_without_root_and_without_kind_one_sentence_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_machine(monkeypatch, has_kind=False, is_root=False)

    with pytest.raises(ClusterError, match=r"run as root on Linux, or install kind"):
        lifecycle.choose_kind(Wish())


def test_a_tier_that_is_asked_for_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    make_machine(monkeypatch, has_kind=True, is_root=True)

    assert lifecycle.choose_kind(Wish(tier="control-plane")) == "control-plane"


def test_an_existing_cluster_is_used_only_when_its_context_is_named() -> None:
    assert lifecycle.choose_kind(Wish(context="my-cluster")) == "context"


def test_a_cluster_that_was_never_started_is_not_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CANARIUM_CACHE", str(tmp_path))

    with pytest.raises(ClusterError, match="no cluster 'absent' is running"):
        lifecycle.find("absent")


def test_taking_down_what_is_not_there_does_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CANARIUM_CACHE", str(tmp_path))

    lifecycle.down("absent", Progress())

    assert lifecycle.list_clusters() == []


def test_a_record_that_another_checkout_wrote_is_read_as_far_as_it_is_known(tmp_path: Path) -> None:
    written = existing.ExistingCluster(
        name="old", directory=tmp_path, kubeconfig=tmp_path / "config", kubectl_path=tmp_path / "k"
    )
    written.save()
    record = tmp_path / "cluster.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), "of_tomorrow": "a field"}))

    assert lifecycle.load(tmp_path) == written


def test_a_cluster_of_the_users_own_gets_no_images_and_no_gateway(tmp_path: Path) -> None:
    cluster = existing.ExistingCluster(
        name="mine",
        directory=tmp_path,
        kubeconfig=tmp_path / "kubeconfig.yaml",
        kubectl_path=Path("kubectl"),
    )

    with pytest.raises(ClusterError, match="cannot be loaded"):
        cluster.load_image(tmp_path / "image.tar")
    with pytest.raises(ClusterError, match="never installed"):
        cluster.install_gateway(Progress())
