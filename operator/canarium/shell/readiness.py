"""What /readyz says, from the state of the caches: what keeps the operator from working at all, and
what only a part of it does without.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from canarium.kube.informers.reflector import Reflector
from canarium.kube.kinds import MODEL_REVISIONS, TEMPLATES

STALE_SECONDS = 150.0
"A cache of which nothing was heard for this long (bookmarks come each minute) is stale."
OLDEST = (1, 30)
"The oldest Kubernetes that the CRDs' rules and the admission policies are written for."
MISSING_CRD = "ModelDeployments are not served: install Canarium's CRDs (kubectl apply -f crds/)"
CURE = "install Canarium's CRDs"


def find_problems(reflectors: Iterable[Reflector], barred: Collection[str]) -> list[str]:
    """A sentence for each cache that the work has to wait for.

    Those of barred namespaces keep nothing else waiting: `find_notices` tells of them.
    """
    found = []
    for reflector in reflectors:
        name, why = reflector.resource.plural, reflector.problem or "no answer"
        if reflector.namespace in barred:
            continue
        if not reflector.synced.is_set():
            found.append(f"{name}: not listed yet ({why})")
        elif reflector.age > STALE_SECONDS:
            found.append(f"{name}: nothing heard for {reflector.age:.0f} s ({why})")
        elif reflector.state == "absent" and reflector.resource == MODEL_REVISIONS:
            found.append(f"{name}: not served, so nothing can be rolled out: {CURE}")
    return found


def find_notices(
    reflectors: Iterable[Reflector], barred: Mapping[str, str], version: tuple[int, int] | None
) -> list[str]:
    """A sentence for each thing that is done without: a kind, a namespace, a newer cluster."""
    found = [explain_version(version)] if version is not None and version < OLDEST else []
    found += [explain_bar(namespace, why) for namespace, why in sorted(barred.items())]
    absent = [r for r in reflectors if r.state == "absent" and r.namespace not in barred]
    for name, why in {each.resource.plural: each.problem for each in absent}.items():
        if why:
            found.append(f"{name}: taken for absent ({why})")
        elif name in {each.plural for each in TEMPLATES.values()}:
            found.append(f"{name}: not served, so no metric can name one: {CURE}")
    return found


def explain_version(version: tuple[int, int]) -> str:
    """Say that the cluster is older than what we are tested with, and what may be missing."""
    has, needs = (".".join(map(str, each)) for each in (version, OLDEST))
    return (
        f"Kubernetes {has} is too old: Canarium needs {needs} or newer; what older ones lack"
        " (admission policies, some of the CRDs' rules) is not enforced"
    )


def explain_bar(namespace: str, why: str) -> str:
    """Say that a namespace is left alone, and why."""
    return f"namespace {namespace} is not served: {why}"
