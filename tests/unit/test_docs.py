"""What the documents say can be followed: links, commands, manifests, names of tests."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from canarium.api import parse_deployment
from canarium.cli.main import COMMANDS, main
from canarium.core.names import API_VERSION
from canarium.shell.metrics_reference import list_metrics

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    path for pattern in ("*.md", "docs/**/*.md", "examples/**/*.md") for path in ROOT.glob(pattern)
)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
Json = dict[str, Any]


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def prose(path: Path) -> str:
    """A document without its fenced blocks."""
    return FENCED.sub("", path.read_text())


def blocks(path: Path, *kinds: str) -> Iterator[str]:
    return (text for kind, text in FENCED.findall(path.read_text()) if kind in kinds)


def words_of_code(path: Path) -> str:
    """Everything in a document that is written as code: fenced blocks and `spans`."""
    return "\n".join([*blocks(path, "", "sh", "console"), *re.findall(r"`([^`\n]+)`", prose(path))])


def anchors(path: Path) -> set[str]:
    """The fragments that GitHub makes of a document's headings."""
    plain = (re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", h) for h in HEADING.findall(prose(path)))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in plain}


def read_document(name: str) -> str:
    return (ROOT / name).read_text()


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_link_leads_somewhere(document: Path) -> None:
    broken = []
    for link in LINK.findall(prose(document)):
        address, _, fragment = link.partition("#")
        target = (document.parent / address).resolve() if address else document
        if link.startswith(("https://", "http://")):
            continue
        if not target.exists() or (fragment and fragment not in anchors(target)):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_make_target_that_is_named_exists(document: Path) -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", read_document("Makefile"), re.MULTILINE))
    named = set(re.findall(r"\bmake ([a-z][a-z0-9-]*)", words_of_code(document)))
    assert named <= targets


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_module_that_is_run_exists(document: Path) -> None:
    modules = re.findall(r"python -m ((?:tests|testbed|benchmarks)[\w.]*)", words_of_code(document))
    paths = [ROOT.joinpath(*module.split(".")) for module in modules]
    found = [p for p in paths if p.with_suffix(".py").exists() or (p / "__main__.py").exists()]
    assert found == paths


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_model_deployment_that_is_shown_can_be_used(document: Path) -> None:
    shown = [item for text in blocks(document, "yaml") for item in yaml.safe_load_all(text)]
    for manifest in shown:
        if isinstance(manifest, dict) and manifest.get("kind") == "ModelDeployment":
            assert manifest["apiVersion"] == API_VERSION
            parse_deployment(manifest)


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_canarium_command_that_is_named_exists(
    document: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    commands = re.findall(
        rf"(?:^|[ /])canarium ((?:{'|'.join([*COMMANDS, 'version'])})\b[^|#\n>)]*)",
        words_of_code(document),
        re.MULTILINE,
    )
    for command in commands:
        arguments = shlex.split(command)
        verbs = [word for word in arguments[:2] if re.fullmatch("[a-z]+", word)]
        with pytest.raises(SystemExit, match="0"):
            main([*verbs, "--help"])
        options = {word for word in arguments if word.startswith("--")}
        assert options <= set(re.findall(r"--[a-z-]+", capsys.readouterr().out)), command


def test_the_options_of_the_operator_are_those_that_are_documented(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["operator", "run", "--help"])
    known = set(re.findall(r"--[a-z-]+", capsys.readouterr().out)) - {"--help"}
    rows = re.findall(r"^\| `(--[a-z-]+)", read_document("docs/operations.md"), re.MULTILINE)
    assert set(rows) == known


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_metric_that_is_named_is_counted(document: Path) -> None:
    known = {entry.name for entry in list_metrics()}
    # canarium_dev_... are labels: what Prometheus makes of canarium.dev/...
    spans = re.findall(r"`(canarium_(?!dev_)[a-z_]+)", prose(document))
    named = {re.sub("_(bucket|sum|count)$", "", span) for span in spans if span[-1] != "_"}
    assert named <= known


def test_the_architecture_fits_on_a_screen() -> None:
    assert len(read_document("ARCHITECTURE.md").splitlines()) <= 80


def test_the_layers_that_are_drawn_are_those_that_are_enforced() -> None:
    contract = tomllib.loads(read_document("pyproject.toml"))["tool"]["importlinter"]["contracts"][
        0
    ]
    enforced = [layer.replace("canarium.", "") for layer in contract["layers"]]
    lines = [line.strip() for line in read_document("ARCHITECTURE.md").splitlines()]
    places = [
        next(i for i, line in enumerate(lines) if re.match(rf"{re.escape(layer)}(\s|$)", line))
        for layer in enforced
    ]
    assert all(above < below for above, below in pairwise(places))


def test_every_file_that_the_documents_name_exists() -> None:
    ours = re.compile(r"`((?:operator|tests|testbed|docs|examples|benchmarks|crds)/[\w./-]+)`")
    inside = re.compile(
        r"`((?:api|cli|core|cost|judge|kube|metrics|notifying|outbound|queries|resources|rollout"
        r"|routing|shell|sim|telemetry|templates)/[\w/]+\.py|\w+\.py)`"
    )
    named = {path for document in DOCUMENTS for path in ours.findall(prose(document))}
    named |= {f"operator/canarium/{p}" for p in inside.findall(prose(ROOT / "ARCHITECTURE.md"))}
    assert {path for path in named if not (ROOT / path).exists()} == set()


def test_every_check_that_the_invariants_name_exists() -> None:
    text = read_document("docs/contributing/invariants.md")
    named = set(re.findall(r"`(?:World\.)?((?:test|check)_\w+)`", text))
    files = [path for name in ("tests", "testbed") for path in (ROOT / name).rglob("*.py")]
    sources = "\n".join(path.read_text() for path in files)
    assert len(re.findall(r"^## \d\.", text, re.MULTILINE)) == 9
    assert named - set(re.findall(r"def (\w+)\(", sources)) == set()


OTHERS_REGISTRY = re.compile(r"\b(?:ghcr\.io|docker\.io|quay\.io|[a-z.]*gcr\.io)/[\w./-]+")
MAINTAINED_BY_DOCKER = "docker.io/library/"
SHIPPED = ("README.md", "docs", "charts", "deploy", "examples", "image", "operator", "Dockerfile")


def shipped_texts() -> Iterator[tuple[str, str]]:
    """Everything that a user gets to read, apply or build from, by its path."""
    for name in SHIPPED:
        path = ROOT / name
        files = [path] if path.is_file() else sorted(path.rglob("*"))
        for file in files:
            texts = (".md", ".yaml", ".yml", ".txt", ".tpl", ".py", ".json", "")
            if file.is_file() and file.suffix in texts:
                yield name_of(file), file.read_text()


def test_no_image_is_named_under_somebody_elses_account() -> None:
    found = {
        (name, image)
        for name, text in shipped_texts()
        for image in OTHERS_REGISTRY.findall(text)
        if not image.startswith(MAINTAINED_BY_DOCKER)
    }
    assert found == set()


def test_canarium_is_installed_from_the_clone_and_never_by_a_name_of_pypi() -> None:
    commands = [
        (name, words)
        for name, text in shipped_texts()
        for words in re.findall(r"pip3? install ([^\n\"`]+)", text)
    ]
    named = {(name, words) for name, words in commands if re.search(r"(^| )'?canarium", words)}
    assert ("docs/cli.md", "'.[cli]'") in commands
    assert named == set()
