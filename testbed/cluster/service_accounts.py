"""Processes outside of pods that are to the apiserver what their pods would be."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from testbed.cluster.cluster import Cluster
from testbed.cluster.credentials import write_private

TOKEN_SECONDS = 24 * 3600
Object = dict[str, Any]


def make_kubeconfig(cluster: Cluster, account: str, namespace: str, path: Path) -> Path:
    """The cluster's kubeconfig with a token of a ServiceAccount, as its pod would have."""
    words = ("create", "token", account, "-n", namespace, f"--duration={TOKEN_SECONDS}s")
    token = cluster.kubectl(*words).strip()
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    (user,) = config["users"]
    user["user"] = {"token": token}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_private(path, json.dumps(config, indent=1) + "\n")
    return path


def give_to(account: str, namespace: str, objects: Iterable[Object]) -> list[Object]:
    """What binds rights, bound to this ServiceAccount; roles of a namespace are put into it."""
    return [_bind(item, account, namespace) for item in objects]


def _bind(item: Object, account: str, namespace: str) -> Object:
    found = dict(item)
    if item["kind"] in ("Role", "RoleBinding"):
        found["metadata"] = {**item["metadata"], "namespace": namespace}
    if "subjects" in item:
        found["subjects"] = [{"kind": "ServiceAccount", "name": account, "namespace": namespace}]
    return found
