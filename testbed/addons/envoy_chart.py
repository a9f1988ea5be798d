"""Envoy Gateway's own Helm chart, rendered once for the test clusters and kept in the cache.

The chart is taken from the Go module that the controller is compiled from.
"""

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from testbed.images.commands import run
from testbed.images.envoy import ENVOY
from testbed.programs.binaries import (
    ENVOY_GATEWAY,
    HELM,
    build,
    fetch_module,
    make_bin_directory,
)
from testbed.programs.cache import compute_key, keep
from testbed.programs.program_image import ENVOY_GATEWAY_IMAGE
from testbed.programs.progress import Progress

MODULE = "github.com/envoyproxy/gateway"
SYSTEM = "envoy-gateway-system"
RELEASE = "eg"
CHART, DEFINITIONS, MANIFESTS = "chart", "definitions", "manifests.yaml"
# The release process fills these in; a module of Go's carries the template alone.
PLACEHOLDERS = {"${GatewayImage}": ENVOY_GATEWAY_IMAGE, "${GatewayImagePullPolicy}": "IfNotPresent"}
PROBE = {"httpGet": {"path": "/readyz", "port": 8081}, "periodSeconds": 1}


def fetch_rendered_chart(node_port: int, progress: Progress) -> Path:
    """A directory with ``definitions/*.yaml`` and ``manifests.yaml``, ready to be applied.

    ``node_port`` is where the first listener of each Gateway is reached on a node.
    """
    values = json.dumps(make_values(node_port), sort_keys=True)
    module = (ENVOY_GATEWAY.directory / "go.mod").read_bytes()
    entry = make_bin_directory() / f"envoy-gateway-chart-{compute_key(values, module)}"
    if entry.exists():
        progress.cached("Envoy Gateway's chart")
        return entry
    helm = build(HELM, progress)
    charts = fetch_module(MODULE, ENVOY_GATEWAY, progress) / "charts"
    with progress.step("rendering Envoy Gateway's chart"):
        return keep(entry, lambda out: render(helm, charts / "gateway-helm", values, out))


def make_values(node_port: int) -> dict[str, Any]:
    """What we tell the chart: our images, quick probes, node ports instead of a load balancer."""
    service = {
        "type": "NodePort",
        "externalTrafficPolicy": "Cluster",
        "patch": {"value": {"spec": {"ports": [{"port": 80, "nodePort": node_port}]}}},
    }
    kubernetes = {"envoyService": service}
    provider = {"type": "Kubernetes", "kubernetes": {"leaderElection": {"disable": True}}}
    proxy = {"provider": {"type": "Kubernetes", "kubernetes": kubernetes}}
    return {
        "crds": {"enabled": False},
        "topologyInjector": {"enabled": False},
        "global": {"images": {"envoyProxy": {"image": ENVOY.reference}}},
        "deployment": {"envoyGateway": {"readinessProbe": PROBE}},
        "config": {"envoyGateway": {"provider": provider, "envoyProxy": proxy}},
    }


def render(helm: Path, chart: Path, values: str, out: Path) -> None:
    """Fill in the chart's placeholders and render it with Helm."""
    with tempfile.TemporaryDirectory() as directory:
        filled = Path(directory) / CHART
        shutil.copytree(chart, filled)
        template = (filled / "values.tmpl.yaml").read_text()
        for placeholder, value in PLACEHOLDERS.items():
            template = template.replace(placeholder, value)
        (filled / "values.yaml").write_text(template)
        ours = Path(directory) / "ours.json"
        ours.write_text(values)
        rendered = run(helm, "template", RELEASE, filled, "--namespace", SYSTEM, "--values", ours)
    out.mkdir()
    (out / MANIFESTS).write_text(rendered)
    shutil.copytree(chart / "charts" / "crds" / "crds" / "generated", out / DEFINITIONS)
