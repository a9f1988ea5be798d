import pytest
from canarium.core.observed import ServiceRecord
from canarium.kube.informers.projections.services import project_service
from canarium.kube.informers.store import Key, Store

from tests.unit.kube.wire import dump, make_service

FRAUD = ("risk", "fraud")


class Listener(list[Key]):
    """What was told, and only since one last asked."""

    def heard(self) -> list[Key]:
        said = self.copy()
        self.clear()
        return said


@pytest.fixture
def listener() -> Listener:
    return Listener()


@pytest.fixture
def store(listener: Listener) -> Store[ServiceRecord]:
    return Store(on_change=listener.append)


def service(version: int, name: str = "fraud", **metadata: object) -> ServiceRecord:
    return project_service(dump(make_service(name, version=version, **metadata)))


def test_records_are_found_by_their_model_and_by_their_name(store: Store[ServiceRecord]) -> None:
    records = service(1), service(2, "fraud-5d8f7c9b64")
    for record in records:
        store.put(record)
    assert (store.of(FRAUD), store.get("risk", "fraud"), store.of(("risk", "other"))) == (
        records,
        records[0],
        (),
    )


def test_an_older_version_never_replaces_a_newer_one(store: Store[ServiceRecord]) -> None:
    store.put(service(9))
    store.put(service(10))
    store.put(service(9))
    assert store.of(FRAUD) == (service(10),)


def test_a_new_version_with_the_same_content_is_kept_but_not_told(
    store: Store[ServiceRecord], listener: Listener
) -> None:
    store.put(service(1))
    assert listener.heard() == [FRAUD]
    store.put(service(2))
    assert listener.heard() == []
    assert store.of(FRAUD) == (service(2),)


def test_late_news_of_a_deletion_spare_the_object_that_came_after(
    store: Store[ServiceRecord], listener: Listener
) -> None:
    store.put(service(20, uid="the-next"))
    listener.heard()
    store.drop("risk", "fraud", version="15")
    assert store.of(FRAUD) == (service(20, uid="the-next"),)
    store.drop("risk", "fraud", version="21")
    assert (store.of(FRAUD), listener.heard()) == ((), [FRAUD])


def test_what_we_deleted_does_not_come_back_by_late_news(store: Store[ServiceRecord]) -> None:
    store.put(service(1))
    store.bury("risk", "fraud", "uid-of-fraud")
    store.put(service(2))
    assert store.of(FRAUD) == ()
    store.put(service(5, uid="the-next"))
    assert store.of(FRAUD) == (service(5, uid="the-next"),)


def test_a_relist_deletes_what_is_gone_and_keeps_what_is_newer(
    store: Store[ServiceRecord], listener: Listener
) -> None:
    for record in (service(1, "gone"), service(2, "stays"), service(30, "just-written")):
        store.put(record)
    listener.heard()
    store.replace([service(2, "stays")], version="20")
    assert store.of(FRAUD) == (service(2, "stays"), service(30, "just-written"))
    assert listener.heard() == [FRAUD]


def test_a_relist_of_one_namespace_leaves_the_others(store: Store[ServiceRecord]) -> None:
    store.put(service(1, namespace="elsewhere"))
    store.replace([], version="20", namespace="risk")
    assert len(store) == 1


def test_a_child_that_changes_its_model_moves(
    store: Store[ServiceRecord], listener: Listener
) -> None:
    store.put(service(1))
    listener.heard()
    store.put(service(2, labels={"canarium.dev/model": "other"}))
    assert (store.of(FRAUD), len(store.of(("risk", "other")))) == ((), 1)
    assert listener.heard() == [FRAUD, ("risk", "other")]
