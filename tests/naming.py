"""Names as Kubernetes, Traefik and we ourselves make them, for tests: never nicer than reality."""

from __future__ import annotations

import re

from canarium.core.names import child_name, make_revision_id

POD_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
"Of what Kubernetes makes its random names: nothing that could spell a word."
HASH_ALPHABET = "456789bcdf"
"Of what it makes the hash of a pod template: the digits of a number, written in the other one."


def make_id(of: str) -> str:
    """A revision's id, as the operator makes it; which one depends on the text alone."""
    return make_revision_id("risk/fraud", of)


def make_pod_name(deployment: str, template_hash: str = "7c9d6f5b84", random: str = "x2c4z") -> str:
    """As the controllers of Deployments and ReplicaSets do: at most 63 characters."""
    return f"{deployment}-{template_hash}-"[:58] + random


def make_revision_pod(model: str, revision: str, **parts: str) -> str:
    """The name of a pod of a revision."""
    return make_pod_name(child_name(model, revision), **parts)


def normalize(name: str) -> str:
    """As Traefik does with names that it puts together."""
    return "-".join(re.findall(r"[^\W_]+", name))


def make_traefik_services(namespace: str, route: str, service: str, gateway: str) -> list[str]:
    """What Traefik 3.7 calls a Service in its metrics: by a route, by its own kinds, and safely."""
    router = normalize(f"httproute-{namespace}-{route}-gw-{gateway}-ep-web-0")
    return [
        f"{router}-3b5d5c3712955042212a-svc-{namespace}-{service}-0@kubernetesgateway",
        f"{router}-svc-{namespace}-{service}-1@kubernetesgateway",
        f"{normalize(f'{namespace}-{service}-80')}@kubernetescrd",
        f"{namespace}_{service}_80@kubernetescrd",
    ]
