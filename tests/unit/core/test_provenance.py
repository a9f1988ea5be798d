import pytest
from canarium.core.provenance import FieldOwner, Origin, Source, find_source, make_origin
from canarium.core.status import dump

IDENTITY = "risk/fraud"
TRACKING = "argocd.argoproj.io/tracking-id"
KUSTOMIZATION = {
    "kustomize.toolkit.fluxcd.io/name": "models",
    "kustomize.toolkit.fluxcd.io/namespace": "flux-system",
}
HELM_RELEASE = {
    "helm.toolkit.fluxcd.io/name": "fraud",
    "helm.toolkit.fluxcd.io/namespace": "flux-system",
}
RELEASE = {"meta.helm.sh/release-name": "fraud", "meta.helm.sh/release-namespace": "risk"}


def origin(*writers: FieldOwner, **annotations: str) -> Origin:
    return make_origin(3, writers, {}, annotations, IDENTITY)


def test_the_latest_writer_is_the_one_that_counts() -> None:
    found = origin(
        FieldOwner("argocd-controller", "Apply", 100.0), FieldOwner("kubectl-edit", "Update", 160.0)
    )

    assert found == Origin(3, "kubectl-edit", "Update", 160.0)


def test_of_two_writers_in_the_same_second_the_one_that_is_listed_later_counts() -> None:
    found = origin(FieldOwner("helm", "Update", 100.0), FieldOwner("kubectl-edit", "Update", 100.0))

    assert found.manager == "kubectl-edit"


def test_an_object_that_says_nothing_has_an_origin_of_its_generation_alone() -> None:
    assert dump(origin()) == {"generation": 3}


def test_what_the_object_says_of_itself_is_kept() -> None:
    said = {"kubernetes.io/change-cause": "retrained", "canarium.dev/git-revision": "main@4f0c2aa"}

    found = make_origin(
        3,
        [FieldOwner("kustomize-controller", "Apply", 1_700_000_000.0)],
        KUSTOMIZATION,
        said,
        IDENTITY,
    )

    assert dump(found) == {
        "generation": 3,
        "manager": "kustomize-controller",
        "operation": "Apply",
        "writtenAt": "2023-11-14T22:13:20.000Z",
        "changeCause": "retrained",
        "gitRevision": "main@4f0c2aa",
        "source": {"kind": "Kustomization", "name": "models", "namespace": "flux-system"},
    }


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2023-11-14T22:13:20Z", 1_700_000_000.0),
        ("2023-11-14T23:13:20+01:00", 1_700_000_000.0),
        ("2023-11-14T22:13:20", None),  # of no zone
        ("yesterday", None),
        ("0001-01-01T00:00:00+14:00", None),
        ("9999-12-31T23:59:59-12:00", None),
        ("9999-12-31T23:59:59.999999Z", None),  # which is rounded to the year 10000
    ],
)
def test_a_commit_time_is_taken_where_it_can_be_read(text: str, seconds: float | None) -> None:
    found = origin(**{"canarium.dev/commit-time": text})

    assert found.committed_at == seconds
    dump(found)  # whatever is kept can be written


def test_a_long_story_is_cut_and_becomes_one_line() -> None:
    found = origin(**{"kubernetes.io/change-cause": "why\n" + "y" * 5000})

    assert found.change_cause.startswith("why y")
    assert len(found.change_cause) == 1024


@pytest.mark.parametrize(
    ("tracking", "expected"),
    [
        (
            "models:canarium.dev/ModelDeployment:risk/fraud",
            Source("Application", "models"),
        ),
        (
            "teams_models:canarium.dev/ModelDeployment:risk/fraud",
            Source("Application", "models", "teams"),
        ),
        pytest.param("models:canarium.dev/ModelDeployment:risk/other", None, id="a copied object"),
        pytest.param("models:apps/Deployment:risk/fraud", None, id="another kind"),
        pytest.param("models", None, id="no tracking id"),
    ],
)
def test_an_argo_cd_application_is_known_by_a_tracking_id_that_names_this_object(
    tracking: str, expected: Source | None
) -> None:
    assert find_source({}, {TRACKING: tracking}, IDENTITY) == expected


@pytest.mark.parametrize(
    ("labels", "annotations", "expected"),
    [
        (KUSTOMIZATION, {}, Source("Kustomization", "models", "flux-system")),
        (HELM_RELEASE, RELEASE, Source("HelmRelease", "fraud", "flux-system")),
        ({}, RELEASE, Source("Release", "fraud", "risk")),
        ({"app.kubernetes.io/instance": "fraud", "app.kubernetes.io/version": "7"}, {}, None),
    ],
    ids=["a Kustomization", "a HelmRelease", "a Helm release", "labels that may mean anything"],
)
def test_a_release_is_known_by_the_marks_of_its_own_tool(
    labels: dict[str, str], annotations: dict[str, str], expected: Source | None
) -> None:
    assert find_source(labels, annotations, IDENTITY) == expected
