"""What is generated from the chart and kept beside it: deploy/operator.yaml, and golden renders.

``python -m testbed.addons.chart_files`` writes them anew; ``--check`` says which are out of date.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from canarium.routing import ROUTERS

from testbed.addons.helm import CHART, NAMESPACE, render_chart, run_helm
from testbed.programs.processes import ClusterError

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden" / "chart"
ROUTERS_FILE = CHART / "files" / "routers.yaml"
OPERATOR = ROOT / "deploy" / "operator.yaml"
PLACEHOLDER = "set-your-registry.invalid/canarium"
"In deploy/: a name that no registry can have, since nobody may register `.invalid` (RFC 2606)."
HEAD = """\
# Generated from charts/canarium with its default values: make chart
# The image is a placeholder: kustomization.yaml says how to name yours.
"""
HEAD_OF_ROUTERS = "# Generated from operator/canarium/routing: make chart\n"
OF_HELM = ("helm.sh/chart", "app.kubernetes.io/managed-by")
Object = dict[str, Any]


def list_cases() -> list[str]:
    """The names of the golden renders: a folder each, with values.yaml and rendered.yaml."""
    return sorted(path.parent.name for path in GOLDEN.glob("*/values.yaml"))


def render_case(name: str) -> str:
    """The chart as text with a case's values, without the CRDs: those have a check of their own."""
    values = yaml.safe_load((GOLDEN / name / "values.yaml").read_text())
    words = ("template", "canarium", CHART, "--namespace", NAMESPACE, "--set", "crds.install=false")
    return run_helm(*words, values=values)


def make_manifests() -> list[Object]:
    """The default install without Helm: without CRDs, which have a folder, and hooks."""
    rendered = render_chart({"crds": {"install": False}, "image": {"repository": PLACEHOLDER}})
    return [strip(item) for item in rendered if not is_hook(item)]


def is_hook(item: Object) -> bool:
    """Whether Helm alone would know what to do with it."""
    return "helm.sh/hook" in item["metadata"].get("annotations", {})


def strip(item: Object) -> Object:
    """Without the labels that say that Helm has it."""
    for metadata in find_metadata(item):
        labels = metadata.get("labels", {})
        metadata["labels"] = {key: labels[key] for key in labels if key not in OF_HELM}
    return item


def find_metadata(item: Object) -> Iterator[Object]:
    """Of the object and of its pods."""
    yield item["metadata"]
    if "template" in item.get("spec", {}):
        yield item["spec"]["template"]["metadata"]


def make_files() -> dict[Path, str]:
    """Every generated file and what has to be in it."""
    definitions = sorted((ROOT / "crds").glob("*.yaml"))
    manifests = HEAD + yaml.safe_dump_all(make_manifests(), sort_keys=False, width=100)
    return {
        ROUTERS_FILE: make_routers(),
        OPERATOR: manifests,
        **{GOLDEN / name / "rendered.yaml": render_case(name) for name in list_cases()},
        **{CHART / "files" / "crds" / path.name: path.read_text() for path in definitions},
    }


def make_routers() -> str:
    """What the chart has to know of each router with a switch, by the operator's own registry."""
    known = [
        {
            "name": router.name,
            "setting": router.setting,
            "group": router.routes[0].api_version.partition("/")[0],
            "resource": router.routes[0].plural,
            "entrance": router.entrance,
        }
        for router in ROUTERS.values()
        if router.setting
    ]
    return HEAD_OF_ROUTERS + yaml.safe_dump(known, sort_keys=False, width=200)


def find_stale() -> list[str]:
    """The generated files that aren't what they should be, by their path in the repository."""
    files = make_files()
    return [
        str(path.relative_to(ROOT))
        for path, text in files.items()
        if not path.exists() or path.read_text() != text
    ]


def main(arguments: list[str]) -> int:
    """Write or check; the exit code."""
    if arguments == ["--check"]:
        stale = find_stale()
        for path in stale:
            print(f"{path} is not what the chart generates: make chart", file=sys.stderr)
        return 1 if stale else 0
    ROUTERS_FILE.write_text(make_routers())  # before what is rendered from it
    for written, text in make_files().items():
        written.write_text(text)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except ClusterError as error:
        sys.exit(str(error))
