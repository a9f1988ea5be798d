import pytest
from canarium.core.actions import Apply, Create, Delete, Ref
from canarium.errors import ApiError
from canarium.kube.cache import Cache
from canarium.kube.projections import project_model
from canarium.kube.store import Key
from canarium.kube.writer import RefusedError, Writer

from tests.unit.kube.fake import FakeClient
from tests.unit.kube.wire import LABELS, REVISION, Json, make_model, make_object, owned_by

FRAUD = project_model(make_model())
NAME = f"fraud-{REVISION}"
SCALERS = ["HorizontalPodAutoscaler", "ScaledObject"]
CHILDREN = [*SCALERS, "PodDisruptionBudget"]


class Shell:
    """A writer beside a client in memory, and who was woken by what it took in."""

    def __init__(self, *objects: Json) -> None:
        self.woken: list[Key] = []
        self.client = FakeClient()
        self.client.add(*objects)
        self.cache = Cache(self.woken.append)
        self.writer = Writer(self.client, self.cache)


def make_body(kind: str) -> Json:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": NAME}
    about = {"ownerReferences": owned_by(), "labels": LABELS}
    body = make_object(kind, NAME, metadata=about, spec={"scaleTargetRef": target})
    del body["metadata"]["resourceVersion"]
    return body


@pytest.mark.parametrize("kind", SCALERS)
async def test_an_autoscaler_is_looked_up_and_applied_so_that_fields_can_be_taken_away_again(
    kind: str,
) -> None:
    shell = Shell()
    await shell.writer.write(FRAUD, Create(Ref(kind, NAME), make_body(kind)))  # type: ignore[arg-type]
    assert shell.client.requests == [f"get {kind} {NAME}", f"apply {kind} {NAME}"]
    assert shell.woken == [("risk", "fraud")]


async def test_a_budget_of_which_no_field_is_ever_taken_away_costs_one_request() -> None:
    shell = Shell()
    body = make_body("PodDisruptionBudget")
    await shell.writer.write(FRAUD, Create(Ref("PodDisruptionBudget", NAME), body))
    assert shell.client.requests == [f"create PodDisruptionBudget {NAME}"]


@pytest.mark.parametrize("kind", CHILDREN)
async def test_what_we_wrote_is_known_at_once_and_what_we_deleted_too(kind: str) -> None:
    shell, ref = Shell(), Ref(kind, NAME)  # type: ignore[arg-type]
    store = shell.cache.children(kind)
    await shell.writer.write(FRAUD, Create(ref, make_body(kind)))
    (created,) = store.of(("risk", "fraud"))
    version = created.meta.resource_version
    await shell.writer.write(FRAUD, Apply(ref, make_body(kind), version))
    (applied,) = store.of(("risk", "fraud"))
    await shell.writer.write(FRAUD, Delete(ref, applied.meta.uid, applied.meta.resource_version))
    assert (int(applied.meta.resource_version) > int(version), len(store)) == (True, 0)
    assert shell.client.objects == {}


@pytest.mark.parametrize("kind", CHILDREN)
async def test_an_object_of_somebody_elses_under_our_name_is_left_as_it_is(kind: str) -> None:
    foreign = make_object(kind, NAME, spec={"scaleTargetRef": {"name": "web"}})
    shell = Shell(foreign)
    with pytest.raises(RefusedError, match="left alone") as caught:
        await shell.writer.write(FRAUD, Create(Ref(kind, NAME), make_body(kind)))  # type: ignore[arg-type]
    assert caught.value.reason == "NameConflict"
    assert shell.client.objects[kind, NAME] is foreign


@pytest.mark.parametrize(
    ("about", "whose"),
    [
        ({"labels": {}}, "has no owner (ownerReferences), so it is left alone: rename or delete"),
        (
            {"ownerReferences": owned_by("uid-of-web", kind="StatefulSet", name="web")},
            "belongs to StatefulSet web and is left alone: rename StatefulSet web, or this",
        ),
        (
            {"ownerReferences": owned_by("uid-of-frau", name="frau"), "labels": LABELS},
            f"is revision {REVISION} of ModelDeployment frau and is left alone: rename one",
        ),
        (
            {"ownerReferences": owned_by("uid-of-frau", name="frau"), "labels": {}},
            "belongs to ModelDeployment frau and is left alone: rename one of the two",
        ),
    ],
    ids=["nobody", "another kind", "a revision of another model", "another model"],
)
async def test_a_name_that_is_taken_is_said_with_whose_it_is(about: Json, whose: str) -> None:
    shell = Shell(make_object("Deployment", NAME, metadata=about, spec={"template": {}}))
    with pytest.raises(RefusedError) as caught:
        await shell.writer.write(FRAUD, Create(Ref("Deployment", NAME), make_body("Deployment")))
    assert str(caught.value).startswith(f"the name is taken: Deployment {NAME} {whose}")


async def test_what_a_webhook_has_against_an_autoscaler_is_said_in_its_words() -> None:
    words = 'admission webhook "vscaledobject.kb.io" denied the request: already managed'
    shell = Shell()
    shell.client.refuse(f"apply ScaledObject {NAME}", ApiError(403, "Forbidden", words))
    create = Create(Ref("ScaledObject", NAME), make_body("ScaledObject"))
    with pytest.raises(ApiError) as caught:
        await shell.writer.write(FRAUD, create)
    assert caught.value.message == words
    assert len(shell.cache.scalers["ScaledObject"]) == 0
