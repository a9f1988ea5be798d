import pytest
from canarium.core.plan import Apply, Create, Delete, Ref
from canarium.errors import ApiError, ConflictError, NotFoundError
from canarium.kube.informers.cache import Cache
from canarium.kube.informers.projections.models import project_model
from canarium.kube.informers.store import Key
from canarium.kube.writer import RefusedError, StaleError, Writer

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
    await shell.writer.write(FRAUD, Create(Ref(kind, NAME), make_body(kind)))
    assert shell.client.requests == [f"get {kind} {NAME}", f"apply {kind} {NAME}"]
    assert shell.woken == [("risk", "fraud")]


async def test_a_budget_of_which_no_field_is_ever_taken_away_costs_one_request() -> None:
    shell = Shell()
    body = make_body("PodDisruptionBudget")
    await shell.writer.write(FRAUD, Create(Ref("PodDisruptionBudget", NAME), body))
    assert shell.client.requests == [f"create PodDisruptionBudget {NAME}"]


@pytest.mark.parametrize("kind", CHILDREN)
async def test_what_we_wrote_is_known_at_once_and_what_we_deleted_too(kind: str) -> None:
    shell, ref = Shell(), Ref(kind, NAME)
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
        await shell.writer.write(FRAUD, Create(Ref(kind, NAME), make_body(kind)))
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


SELECTORS = {
    "Deployment": {"matchLabels": LABELS},
    "Job": {"matchLabels": {"canarium.dev/judged-model": "fraud"}},
}


READ = {"Deployment": "get", "Job": "list"}
"By which verb one is read: the chart gives no right to get a Job."


def make_choosing(kind: str, selector: Json, labels: Json, uid: str = "uid-of-theirs") -> Json:
    about = {"ownerReferences": owned_by(), "labels": labels, "uid": uid}
    return make_object(kind, NAME, metadata=about, spec={"selector": selector, "template": {}})


@pytest.mark.parametrize("labels", [{}, LABELS], ids=["unlabelled", "labelled"])
@pytest.mark.parametrize("kind", SELECTORS)
async def test_what_claims_to_be_ours_and_chooses_other_pods_is_made_anew(
    kind: str, labels: Json
) -> None:
    """A copied owner is believed of nobody; it would be a verdict, or stand in the way for good."""
    shell, ref = Shell(make_choosing(kind, {"matchLabels": {"app": "a"}}, labels)), Ref(kind, NAME)
    body = make_choosing(kind, SELECTORS[kind], LABELS)
    del body["metadata"]["resourceVersion"], body["metadata"]["uid"]

    await shell.writer.write(FRAUD, Create(ref, body))

    wanted = [f"{verb} {kind} {NAME}" for verb in ("create", READ[kind], "delete", "create")]
    assert shell.client.requests == wanted
    assert shell.client.objects[kind, NAME]["spec"] == body["spec"]
    (known,) = shell.cache.children(kind).of(("risk", "fraud"))
    assert known.meta.uid != "uid-of-theirs"


@pytest.mark.parametrize("kind", SELECTORS)
async def test_who_is_quicker_to_take_the_name_again_is_named_and_not_fought(kind: str) -> None:
    theirs = make_choosing(kind, {"matchLabels": {"app": "a"}}, {})
    shell, ref = Shell(theirs), Ref(kind, NAME)
    taken = ConflictError(409, "AlreadyExists", "it was made again")
    shell.client.refuse(f"create {kind} {NAME}", taken, taken)
    shell.client.refuse(f"delete {kind} {NAME}", NotFoundError(404, "NotFound", "gone"))

    with pytest.raises(RefusedError, match="was made by somebody else, with this") as caught:
        await shell.writer.write(FRAUD, Create(ref, make_choosing(kind, SELECTORS[kind], LABELS)))

    assert caught.value.reason == "NameConflict"
    assert len([each for each in shell.client.requests if "delete" in each]) == 1


async def test_a_deployment_that_lost_its_labels_gets_them_again_and_keeps_its_pods() -> None:
    kind = "Deployment"
    shell = Shell(make_choosing(kind, SELECTORS[kind], {}, uid="uid-of-ours"))
    body = make_choosing(kind, SELECTORS[kind], LABELS, uid="uid-of-ours")
    del body["metadata"]["resourceVersion"]

    await shell.writer.write(FRAUD, Create(Ref("Deployment", NAME), body))

    wanted = [f"{verb} {kind} {NAME}" for verb in ("create", "get", "force")]
    assert shell.client.requests == wanted
    assert shell.client.objects[kind, NAME]["metadata"]["uid"] == "uid-of-ours"
    assert shell.client.objects[kind, NAME]["metadata"]["labels"] == LABELS


async def test_a_job_without_our_labels_is_made_anew_though_it_chooses_the_same_pods() -> None:
    """It is created and deleted, never changed."""
    kind = "Job"
    shell = Shell(make_choosing(kind, SELECTORS[kind], {}))
    body = make_choosing(kind, SELECTORS[kind], LABELS)
    del body["metadata"]["resourceVersion"], body["metadata"]["uid"]

    await shell.writer.write(FRAUD, Create(Ref("Job", NAME), body))

    wanted = [f"{verb} {kind} {NAME}" for verb in ("create", "list", "delete", "create")]
    assert shell.client.requests == wanted


@pytest.mark.parametrize("kind", SELECTORS)
async def test_what_a_cache_didnt_know_yet_is_taken_in_and_nothing_of_it_is_deleted(
    kind: str,
) -> None:
    ours = make_choosing(kind, SELECTORS[kind], LABELS, uid="uid-of-ours")
    shell = Shell(ours)

    with pytest.raises(StaleError, match="exists already"):
        await shell.writer.write(
            FRAUD,
            Create(Ref(kind, NAME), make_choosing(kind, SELECTORS[kind], LABELS)),
        )

    wanted = [f"{verb} {kind} {NAME}" for verb in ("create", READ[kind], READ[kind])]
    assert shell.client.requests == wanted
    assert shell.client.objects[kind, NAME] is ours


@pytest.mark.parametrize("kind", SELECTORS)
async def test_a_name_that_was_taken_and_is_free_again_is_looked_at_anew(kind: str) -> None:
    shell = Shell()
    taken = ConflictError(409, "AlreadyExists", "it was there")
    shell.client.refuse(f"create {kind} {NAME}", taken)
    with pytest.raises(StaleError, match="is gone again"):
        await shell.writer.write(
            FRAUD,
            Create(Ref(kind, NAME), make_choosing(kind, SELECTORS[kind], LABELS)),
        )


async def test_a_job_is_read_by_the_right_to_list_them() -> None:
    shell = Shell(make_choosing("Job", SELECTORS["Job"], LABELS))
    await shell.writer.refresh("risk", Ref("Job", NAME))
    (found,) = shell.cache.children("Job").of(("risk", "fraud"))
    del shell.client.objects["Job", NAME]
    await shell.writer.refresh("risk", Ref("Job", NAME))
    assert (found.meta.name, shell.cache.children("Job").of(("risk", "fraud"))) == (NAME, ())
    assert shell.client.requests == [f"list Job {NAME}"] * 2


@pytest.mark.parametrize("uid", ["", "uid-of-ours"], ids=["we made none", "ours is gone"])
@pytest.mark.parametrize("labels", [{}, LABELS], ids=["unlabelled", "labelled"])
@pytest.mark.parametrize("kind", SELECTORS)
async def test_what_has_everything_of_ours_but_the_uid_is_made_anew(
    kind: str, labels: Json, uid: str
) -> None:
    """Labels, selector and owner are anybody's to write; what created it tells who it is."""
    theirs = make_choosing(kind, SELECTORS[kind], labels)
    theirs["spec"]["template"] = {"spec": {"hostNetwork": True}}
    shell, ref = Shell(theirs), Ref(kind, NAME)
    body = make_choosing(kind, SELECTORS[kind], LABELS)
    del body["metadata"]["resourceVersion"], body["metadata"]["uid"]

    made = await shell.writer.write(FRAUD, Create(ref, body, uid))

    wanted = [f"{verb} {kind} {NAME}" for verb in ("create", READ[kind], "delete", "create")]
    assert shell.client.requests == wanted
    assert shell.client.objects[kind, NAME]["spec"]["template"] == {}
    (known,) = shell.cache.children(kind).of(("risk", "fraud"))
    assert known.meta.uid == made
    assert made not in ("", "uid-of-theirs")


async def test_ours_by_its_uid_gets_its_labels_again_and_is_not_made_anew() -> None:
    ours = make_choosing("Deployment", SELECTORS["Deployment"], {}, uid="uid-of-ours")
    shell = Shell(ours)
    body = make_choosing("Deployment", SELECTORS["Deployment"], LABELS, uid="uid-of-ours")
    del body["metadata"]["resourceVersion"]

    write = Create(Ref("Deployment", NAME), body, "uid-of-ours")
    assert await shell.writer.write(FRAUD, write) == "uid-of-ours"

    assert shell.client.requests == [f"{v} Deployment {NAME}" for v in ("create", "get", "force")]
    assert shell.client.objects["Deployment", NAME]["metadata"]["labels"] == LABELS


async def test_the_uid_of_what_was_created_is_told_and_of_other_writes_nothing() -> None:
    shell, ref = Shell(), Ref("Deployment", NAME)
    body = make_choosing("Deployment", SELECTORS["Deployment"], LABELS)
    del body["metadata"]["resourceVersion"], body["metadata"]["uid"]
    made = await shell.writer.write(FRAUD, Create(ref, body, ""))
    (known,) = shell.cache.deployments.of(("risk", "fraud"))
    assert made == known.meta.uid != ""
    assert await shell.writer.write(FRAUD, Apply(ref, body, known.meta.resource_version)) == ""


async def test_what_a_webhook_has_against_an_autoscaler_is_said_in_its_words() -> None:
    words = 'admission webhook "vscaledobject.kb.io" denied the request: already managed'
    shell = Shell()
    shell.client.refuse(f"apply ScaledObject {NAME}", ApiError(403, "Forbidden", words))
    create = Create(Ref("ScaledObject", NAME), make_body("ScaledObject"))
    with pytest.raises(ApiError) as caught:
        await shell.writer.write(FRAUD, create)
    assert caught.value.message == words
    assert len(shell.cache.scalers["ScaledObject"]) == 0
