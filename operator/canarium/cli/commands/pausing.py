"""`canarium pause` and `resume`: a person's own edit of `spec.rollout.paused`."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Iterator
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from canarium.cli.exits import Exit
from canarium.cli.options import add_cluster, add_name, add_timeout
from canarium.errors import CommandError, ConflictError

if TYPE_CHECKING:
    from canarium.cli.connection import Connection

Json = dict[str, Any]

ATTEMPTS = 5
_LABELS = {
    "argocd.argoproj.io/instance": "Argo CD",
    "kustomize.toolkit.fluxcd.io/name": "Flux",
    "helm.toolkit.fluxcd.io/name": "Flux",
}
_ANNOTATIONS = {
    "argocd.argoproj.io/tracking-id": "Argo CD",
    "meta.helm.sh/release-name": "Helm",
}
_MANAGERS = {
    "argocd-controller": "Argo CD",
    "argocd-application-controller": "Argo CD",
    "kustomize-controller": "Flux",
    "helm-controller": "Flux",
    "helm": "Helm",
}
"What the tools that apply manifests leave on an object."


def add_parser(subparsers: Any) -> None:
    """Add both commands."""
    _add(subparsers, "pause", "stop all shifting where it is; taking back goes on", paused=True)
    _add(subparsers, "resume", "go on where it was paused", paused=False)


def _add(subparsers: Any, verb: str, what: str, *, paused: bool) -> None:
    parser = subparsers.add_parser(
        verb,
        help=what,
        description=f"{what[0].upper()}{what[1:]}. Edits spec.rollout.paused.",
    )
    add_name(parser)
    add_timeout(parser, "30s", "how long to wait for the operator")
    add_cluster(parser)
    parser.set_defaults(run=run, paused=paused)


def run(arguments: argparse.Namespace) -> int:
    """Edit the spec, wait until the operator has seen it, and return the exit code."""
    return asyncio.run(_run(arguments))


async def _run(arguments: argparse.Namespace) -> int:
    from canarium.cli.connection import connect  # noqa: PLC0415 - needs the extra packages

    async with connect(arguments) as connection:
        before, after = await _edit(connection, arguments.name, paused=arguments.paused)
        for tool in sorted(set(find_tools(before))):
            sys.stderr.write(
                f"canarium: {tool} applies {arguments.name}: where its manifest has"
                " spec.rollout.paused too, the next sync undoes this\n"
            )
        if not arguments.timeout:
            return Exit.DONE
        return await _tell(connection, arguments, after)


async def _edit(connection: Connection, name: str, *, paused: bool) -> tuple[Json, Json]:
    """Write `paused` over the object as it is read; the object before and after.

    Resuming takes the field away, so that nothing of a pause is left in the spec.
    """
    from canarium.cli.connection import MODELS  # noqa: PLC0415

    for _attempt in range(ATTEMPTS):
        before = await connection.get(MODELS, name)
        if is_paused(before) == paused:
            return before, before
        patch = {
            "metadata": {"resourceVersion": before["metadata"]["resourceVersion"]},
            "spec": {"rollout": {"paused": True if paused else None}},
        }
        try:
            return before, await connection.merge(MODELS, name, patch)
        except ConflictError:
            continue
    raise CommandError(f"{name} is being written all the time: try again")


async def _tell(connection: Connection, arguments: argparse.Namespace, written: Json) -> int:
    from canarium.cli.following import follow_model  # noqa: PLC0415

    generation = written["metadata"]["generation"]
    try:
        async with (
            asyncio.timeout(arguments.timeout),
            aclosing(follow_model(connection, arguments.name)) as models,
        ):
            async for model in models:
                status = model.get("status") or {}
                if status.get("observedGeneration", 0) >= generation:
                    sys.stdout.write(f"{status.get('phase')}: {status.get('message')}\n")
                    return Exit.DONE
    except TimeoutError:
        sys.stderr.write(
            f"canarium: written, but no operator has seen it within {arguments.timeout:g} s\n"
        )
    return Exit.TIMEOUT


def is_paused(model: Json) -> bool:
    """Whether the spec says so."""
    return bool((model.get("spec", {}).get("rollout") or {}).get("paused"))


def find_tools(model: Json) -> Iterator[str]:
    """The tools that apply this object from elsewhere, by what they leave on it."""
    metadata = model["metadata"]
    labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    yield from (tool for label, tool in _LABELS.items() if label in labels)
    yield from (tool for key, tool in _ANNOTATIONS.items() if key in annotations)
    for entry in metadata.get("managedFields") or ():
        if entry.get("manager") in _MANAGERS:
            yield _MANAGERS[entry["manager"]]
