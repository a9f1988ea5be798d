"""`canarium explain`: strategies written out, pods counted, problems named. No cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from canarium.api.modeldeployment.strategies import Strategy, expand
from canarium.cli.main import main

from tests.unit.cli.fake_apiserver import MODELS, FakeApiserver, make_refusal, serve
from tests.unit.cli.golden import compare

Json = dict[str, Any]


def write(path: Path, *manifests: Json) -> str:
    path.write_text(yaml.safe_dump_all(manifests))
    return str(path)


def make_manifest(**rollout: Any) -> Json:
    return {
        "apiVersion": "canarium.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": "fraud"},
        "spec": {
            "server": {"image": "registry.example.com/fraud:v7"},
            "scaling": {"replicas": 3},
            "rollout": rollout,
        },
    }


@pytest.mark.parametrize("strategy", get_args(Strategy))
def test_a_strategy_is_written_out(
    strategy: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(tmp_path / "a.yaml", make_manifest(strategy=strategy))
    assert main(["explain", file, "--replicas", "10"]) == 0
    compare(f"explain-{strategy.lower()}.txt", capsys.readouterr().out)


def test_the_example_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    example = Path(__file__).parents[4] / "examples" / "iris" / "modeldeployment.yaml"
    assert main(["explain", str(example)]) == 0
    compare("explain-example.txt", capsys.readouterr().out)


def test_a_job_is_told_with_how_long_it_may_take(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    smoke = {"name": "smoke", "job": {"image": "smoke:1", "timeout": "90s"}}
    wanted = make_manifest(strategy="Canary", analysis={"metrics": [smoke]})
    assert main(["explain", write(tmp_path / "a.yaml", wanted)]) == 0
    told = capsys.readouterr().out.splitlines()
    assert (
        told[-2].strip() == "judged by smoke: a Job in each step, which has to succeed within 1m30s"
    )


def test_a_rollout_in_place_is_told_apart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = "pods replace each other one by one where there is no room for both"
    for capacity, told in (("InPlace", True), ("Surge", False)):
        manifest = make_manifest(strategy="Canary", capacity=capacity)
        assert main(["explain", write(tmp_path / "a.yaml", manifest)]) == 0
        assert (words in capsys.readouterr().out) is told


def autoscaled(**scaling: Any) -> Json:
    manifest = make_manifest(strategy="Canary")
    queue = {"name": "queue", "type": "External", "target": "30", "query": "sum(queue_length)"}
    manifest["spec"]["scaling"] = {"maxReplicas": 12, "metrics": [queue], **scaling}
    resources = {"requests": {"cpu": 1, "memory": "1Gi"}}
    manifest["spec"]["server"]["resources"] = resources
    return manifest


def test_an_autoscaled_model_has_floors_at_each_step(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(tmp_path / "a.yaml", autoscaled(minReplicas=0, idleAfter="10m"))
    assert main(["explain", file, "--replicas", "8"]) == 0
    compare("explain-autoscaled.txt", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("scaling", "engine"),
    [
        ({"minReplicas": 3}, "KEDA"),
        ({"metrics": [{"name": "cpu", "type": "CPU", "target": "70%"}]}, "HPA"),
        ({"engine": "None"}, "None"),
    ],
    ids=str,
)
def test_who_scales_is_told_to_programs(
    scaling: Json, engine: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(tmp_path / "a.yaml", autoscaled(**scaling))
    assert main(["explain", file, "-o", "yaml"]) == 0
    assert yaml.safe_load(capsys.readouterr().out)["scaling"] == {
        "engine": engine,
        "minReplicas": scaling.get("minReplicas", 1),
        "maxReplicas": 12,
    }


def test_the_steps_for_programs_can_be_pasted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(tmp_path / "a.yaml", make_manifest(strategy="BlueGreen"))
    assert main(["explain", file, "-o", "yaml"]) == 0
    assert yaml.safe_load(capsys.readouterr().out) == {
        "name": "fraud",
        "strategy": "BlueGreen",
        "replicas": 3,
        "steps": expand("BlueGreen"),
        "pods": [
            {"step": "preview", "canary": 3, "stable": 3},
            {"step": "full", "canary": 3, "stable": 3},
        ],
        "guard": "15m",
        "unrequested": ["cpu", "memory"],
    }


@pytest.mark.parametrize(
    ("profile", "told"),
    [
        ("mlserver", ": did you mean MLServer? Else the operator has to have one of this name"),
        ("fraud", ": the operator has to have one of this name"),
        ("MLServer", None),
    ],
)
def test_a_profile_that_may_be_misspelt_is_told(
    profile: str, told: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = make_manifest()
    manifest["spec"]["server"]["metrics"] = {"port": 8082, "profile": profile}
    assert main(["explain", write(tmp_path / "a.yaml", manifest)]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert out.endswith(f"profile {profile} is none that comes with Canarium{told}") == bool(told)


def test_each_problem_is_named_with_its_field(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    steps = [{"name": "a", "weight": 50}, {"name": "b", "weight": 10}]
    old = {**make_manifest(), "apiVersion": "canarium.dev/v1"}
    nameless = {**make_manifest(), "metadata": {}}
    file = write(tmp_path / "a.yaml", make_manifest(steps=steps), old, nameless)
    assert main(["explain", file]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.splitlines()[:2] == [
        f"{file}: fraud: spec.rollout.steps[1].weight: weights must not fall from step to step",
        f"{file}: fraud: apiVersion: write canarium.dev/v1alpha1",
    ]
    assert f"{file}: ModelDeployment without a name: metadata.name: " in printed.err


def test_what_is_right_is_explained_beside_what_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = make_manifest(guard={"duration": "soon"})
    listed = {"kind": "List", "items": [make_manifest(), {"kind": "Service"}]}
    assert main(["explain", write(tmp_path / "a.yaml", wrong, listed)]) == 1
    assert capsys.readouterr().out.startswith("fraud: 3 pods stable\n")


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("kind: Service\n", "holds no ModelDeployment"),
        ("a: [", "is no YAML: "),
        (None, "cannot be read: No such file or directory"),
    ],
)
def test_a_file_of_no_use_is_said_to_be_so(
    text: str | None, want: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "a.yaml"
    if text is not None:
        file.write_text(text)
    assert main(["explain", str(file)]) == 2
    assert capsys.readouterr().err.startswith(f"canarium: {file} {want}")


DEFAULTS = {
    "strategy": "Canary",
    "guard": {"duration": "1h"},
    "analysis": {"metrics": [{"name": "error-rate", "max": "5%"}]},
}


def test_defaults_of_the_cluster_are_filled_in_and_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, defaults = write(tmp_path / "a.yaml", make_manifest()), tmp_path / "defaults.yaml"
    defaults.write_text(yaml.safe_dump(DEFAULTS))
    assert main(["explain", file, "--defaults", str(defaults)]) == 0
    compare("explain-defaults.txt", capsys.readouterr().out)


def test_defaults_of_no_use_are_said_in_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, defaults = write(tmp_path / "a.yaml", make_manifest()), tmp_path / "defaults.yaml"
    defaults.write_text("guard: {duration: soon}")
    assert main(["explain", file, "--defaults", str(defaults)]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"canarium: {defaults} has no defaults of use: guard.duration: ")


DENIED = (
    'modeldeployments.canarium.dev "fraud" is forbidden: ValidatingAdmissionPolicy'
    " 'canarium-routes' with binding 'canarium-routes' denied request: spec.traffic: the namespace"
    " risk was not given pay.example.com/"
)
WEBHOOK = 'admission webhook "images.example.com" denied the request: not signed'
INVALID = 'ModelDeployment.canarium.dev "fraud" is invalid: spec.server.image: too new'


@pytest.mark.parametrize(
    ("code", "message", "words"),
    [
        (403, DENIED, "spec.traffic: the namespace risk was not given pay.example.com/"),
        (400, WEBHOOK, "not signed"),
        (
            422,
            INVALID,
            "the cluster refused to patch modeldeployments in namespace risk: " + INVALID,
        ),
    ],
)
def test_a_dry_run_tells_what_the_cluster_would_refuse(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], code: int, message: str, words: str
) -> None:
    manifest = make_manifest(strategy="Canary")
    file = write(tmp_path / "a.yaml", manifest)
    refusal = make_refusal(code, "Forbidden", "fraud", message)
    fake = FakeApiserver(manifest, refusals={"PATCH": [(code, refusal)]})
    with serve(fake, tmp_path) as config:
        assert main(["explain", file, "--dry-run", "--kubeconfig", str(config)]) == 1
        out, err = capsys.readouterr()
        assert out.startswith("fraud, strategy Canary: 3 pods stable")
        assert err == f"{file}: fraud: {words}\n"
        assert main(["explain", file, "--dry-run", "--kubeconfig", str(config)]) == 0
    assert capsys.readouterr().err == ""
    assert fake.tried == [(f"{MODELS}/fraud", manifest)] * 2
    assert fake.patches == []


def test_a_dry_run_goes_to_the_manifests_namespace_and_to_no_cluster_unasked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = make_manifest(strategy="Canary")
    manifest["metadata"] |= {"namespace": "other", "managedFields": [{"manager": "kubectl"}]}
    file = write(tmp_path / "a.yaml", manifest)
    fake = FakeApiserver(manifest, refusals={"PATCH": [(403, make_refusal(403, "Forbidden"))]})
    with serve(fake, tmp_path) as config:
        assert main(["explain", file, "--kubeconfig", str(config)]) == 0
        assert fake.tried == []
        capsys.readouterr()
        assert main(["explain", file, "--dry-run", "--kubeconfig", str(config)]) == 2
    assert "you may not patch modeldeployments in namespace other" in capsys.readouterr().err
    ((path, body),) = fake.tried
    assert path == MODELS.replace("risk", "other") + "/fraud"
    assert body["metadata"] == {"name": "fraud", "namespace": "other"}
