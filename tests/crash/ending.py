"""What is there in the end, without what is another's from run to run: names, times, uids."""

import json
import re
from collections.abc import Mapping
from typing import Any

from testbed.witness.changes import MODEL_LABEL, REVISION_LABEL
from tests.crash.mirror import Mirror

Json = dict[str, Any]
OURS = ("ModelDeployment", "ModelRevision", "Deployment", "Service", "HTTPRoute")
GIVEN = ("clusterIP", "clusterIPs")
"Fields that the cluster fills in as it likes."
TIMES = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z")
DIGESTS = re.compile(r"\b[0-9a-f]{64}\b")
ROUTES = re.compile(r'("written": )"[0-9a-f]{10}"')
"The digest of the routes that are in place, in which the model's name is."
PODS = re.compile(r"(<model>-[0-9a-f]{10})-[0-9a-z]{1,10}-[0-9a-z]{5}\b")
PASSING = ("heldSeconds",)
"How long something took is no part of how it ended."


def read_ending(mirror: Mirror, namespace: str, model: str) -> Json:
    """Everything of a model's that a rollout writes, and the status by which people see it."""
    live = {
        f"{kind}/{item['metadata']['name']}": item["metadata"]["uid"]
        for kind, item in mirror.all_of(namespace, "Deployment")
    }
    found = [
        (f"{kind} {item['metadata']['name']}", _keep(kind, item, live))
        for kind, item in mirror.all_of(namespace, *OURS)
        if _belongs(item, model)
    ]
    text = TIMES.sub("<time>", ROUTES.sub(r'\1"<routes>"', json.dumps(dict(found))))
    revisions = _list_revisions(mirror, namespace, model)
    text = _number_digests(text, [item["spec"]["digest"] for item in revisions])
    text = PODS.sub(r"\1-<pod>", re.sub(rf"\b{model}\b", "<model>", text))
    for number, item in enumerate(revisions):
        text = text.replace(item["metadata"]["labels"][REVISION_LABEL], f"<revision {number}>")
    ending: Json = json.loads(text)
    return ending


def is_at_rest(mirror: Mirror, namespace: str, model: str) -> bool:
    """Whether the cluster has done all that a model's Deployments ask for: no news is to come."""
    mine = [
        item for _, item in mirror.all_of(namespace, "Deployment", "Pod") if _belongs(item, model)
    ]
    deployments = [item for item in mine if item["kind"] == "Deployment"]
    wanted = sum(item["spec"]["replicas"] for item in deployments)
    return all(map(_is_done, deployments)) and len(mine) - len(deployments) == wanted


def _is_done(deployment: Json) -> bool:
    """Whether a Deployment has the pods that it asks for, all of them ready, and no others."""
    status, wanted = deployment.get("status", {}), deployment["spec"]["replicas"]
    seen = status.get("observedGeneration") == deployment["metadata"]["generation"]
    counts = {status.get(name, 0) for name in ("replicas", "readyReplicas", "updatedReplicas")}
    return seen and counts == {wanted}


def _list_revisions(mirror: Mirror, namespace: str, model: str) -> list[Json]:
    """The ModelRevisions as they were asked for; their ids depend on namespace and model."""
    found = [item for _, item in mirror.all_of(namespace, "ModelRevision") if _belongs(item, model)]
    return sorted(found, key=lambda item: int(item["spec"]["origin"]["generation"]))


def _number_digests(text: str, known: list[str]) -> str:
    """A pod template's digest depends on the model's name; which are equal does not."""
    order = {digest: n for n, digest in enumerate(dict.fromkeys([*known, *DIGESTS.findall(text)]))}
    return DIGESTS.sub(lambda found: f"<digest {order[found[0]]}>", text)


def _belongs(found: Json, model: str) -> bool:
    about = found["metadata"]
    return model in (about.get("labels", {}).get(MODEL_LABEL), _bare_name(found))


def _bare_name(found: Json) -> str:
    return str(found["metadata"]["name"]) if found["kind"] == "ModelDeployment" else ""


def _keep(kind: str, found: Json, live: Mapping[str, str]) -> Json:
    """The spec, and the status where it is ours: of uids, whether they are those of what is there.

    `live` has the uids of the Deployments that are there, by kind and name.
    """
    kept: Json = {"spec": found["spec"], "labels": found["metadata"].get("labels", {})}
    if kind in ("ModelDeployment", "ModelRevision"):
        status = kept["status"] = dict(found.get("status", {}))
        if "made" in status:
            made = status["made"].items()
            status["made"] = {name: uid == live.get(name) for name, uid in made}
    return dict(_strip(kept))


def _strip(value: Any) -> Any:
    if isinstance(value, dict):
        dropped = (*GIVEN, *PASSING)
        return {name: _strip(item) for name, item in value.items() if name not in dropped}
    return [_strip(item) for item in value] if isinstance(value, list) else value


def tell_difference(wanted: Any, found: Any, path: str = "") -> list[str]:
    """One line for each place in which two endings differ."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        names = sorted({*wanted, *found})
        pairs = ((f"{path}.{name}", wanted.get(name), found.get(name)) for name in names)
        return [line for where, w, f in pairs for line in tell_difference(w, f, where)]
    if isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        both = enumerate(zip(wanted, found, strict=True))
        return [line for n, (w, f) in both for line in tell_difference(w, f, f"{path}[{n}]")]
    return [] if wanted == found else [f"{path}: {found!r} instead of {wanted!r}"]
