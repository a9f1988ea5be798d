"""Builders for the apiserver's JSON, as small as the tests need it."""

from __future__ import annotations

import json
from typing import Any

Json = dict[str, Any]

MODEL_UID = "uid-of-fraud"
REVISION = "5d8f7c9b64"
LABELS = {"canarium.dev/model": "fraud", "canarium.dev/revision": REVISION}


def make_object(kind: str, name: str, *, version: int = 1, **content: Any) -> Json:
    """An object in namespace `risk` that carries our labels."""
    metadata = {
        "name": name,
        "namespace": "risk",
        "uid": f"uid-of-{name}",
        "resourceVersion": str(version),
        "labels": dict(LABELS),
    }
    return {"kind": kind, "metadata": metadata | content.pop("metadata", {}), **content}


def owned_by(
    uid: str = MODEL_UID, *, kind: str = "ModelDeployment", name: str = "fraud"
) -> list[Json]:
    """The ownerReferences of a child."""
    return [{"kind": kind, "name": name, "uid": uid, "controller": True}]


def make_service(name: str = "fraud", *, version: int = 1, **metadata: Any) -> Json:
    """A Service of ours."""
    metadata = {"ownerReferences": owned_by()} | metadata
    return make_object("Service", name, version=version, metadata=metadata, spec={"ports": []})


def make_model(*, version: int = 1, generation: int = 1, **content: Any) -> Json:
    """A ModelDeployment with the least that a spec needs."""
    metadata = {"uid": MODEL_UID, "generation": generation, "labels": {}}
    content.setdefault("spec", {"server": {"image": "registry/fraud:7"}})
    metadata |= content.pop("metadata", {})
    return make_object("ModelDeployment", "fraud", version=version, metadata=metadata, **content)


def dump(body: Json) -> bytes:
    """What the apiserver sends."""
    return json.dumps(body).encode()
