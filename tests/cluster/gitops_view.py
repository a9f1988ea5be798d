"""What Flux and Argo CD make of ModelDeployments, by their own code and what docs/gitops shows."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence

from testbed.programs.binaries import GITOPS, build
from testbed.programs.progress import Progress
from tests.unit.gitops.recordings import Json, Shown, read_blocks, read_script


def judge(objects: Sequence[Json]) -> list[Shown]:
    """Argo CD's, kstatus' and (with the expressions in flux.md) Flux's word on each object."""
    (checked,) = read_blocks("flux.md")[1]["spec"]["healthCheckExprs"]
    asked = {"objects": list(objects), "expressions": checked, "script": read_script()}
    answer = subprocess.run(
        [build(GITOPS, Progress())],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=True,
    )
    tools = ("argo", "kstatus", "flux")
    return [Shown(*(item[tool]["status"] for tool in tools)) for item in json.loads(answer.stdout)]
