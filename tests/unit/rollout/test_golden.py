"""What a whole rollout looks like, pass by pass, and what is rendered: compared with files.

Write the files anew with CANARIUM_GOLDEN=write and read the difference before it is committed.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from canarium.core.plan import Apply, Create, Plan
from canarium.core.spec import Traffic

from tests.properties.world import World, make_rollout, make_spec, serving

GOLDEN = Path(__file__).parents[2] / "golden" / "rollout"


def transcribe(world: World, seconds: float) -> str:
    """One line a pass that wrote something: when, where the rollout stands, what was written."""
    begun, lines = world.now, []
    while world.now < begun + seconds:
        for _ in range(30):
            made = world.step()
            if made.status is None and not made.writes:
                break
            lines.append(
                f"{world.now - begun:6.1f} s  {describe(world)}  {list_writes(world, made)}"
            )
        world.tick(0.5)
    return "\n".join(lines) + "\n"


def describe(world: World) -> str:
    routed = ", ".join(f"v{world.version_of(r)} {w} %" for r, w in world.routed().items())
    return f"{world.status.phase}/{world.state}: {world.status.reason} [{routed}]"


def list_writes(world: World, made: Plan) -> str:
    names = [f"{type(w).__name__} {w.ref.kind} {plain(world, w.ref.name)}" for w in made.writes]
    sizes = [
        f"to {w.body['spec']['replicas']}"
        if isinstance(w, Apply) and "replicas" in w.body["spec"]
        else ""
        for w in made.writes
    ]
    words = [f"{name} {size}".strip() for name, size in zip(names, sizes, strict=True)]
    return "; ".join(["status"] * (made.status is not None) + words)


def plain(world: World, name: str) -> str:
    for record in world.revisions.values():
        name = name.replace(record.revision, f"v{record.version}")
    return name


def compare(name: str, text: str) -> None:
    file = GOLDEN / name
    if os.environ.get("CANARIUM_GOLDEN") == "write":
        file.write_text(text)
    assert text == file.read_text()


@pytest.mark.parametrize("router", ["gateway", "replicas"])
def test_a_promotion_goes_as_written_down(router: str) -> None:
    options: dict[str, Any] = {"traffic": Traffic()} if router == "replicas" else {}
    world = serving(**options)
    world.apply(make_spec("2", **options))
    compare(f"promotion-{router}.txt", transcribe(world, 80.0))


def test_a_holdback_goes_as_written_down() -> None:
    world = serving()
    world.apply(make_spec("2", rollout=make_rollout(20, holdback=5, analysis=True)))
    compare("promotion-holdback.txt", transcribe(world, 70.0))


@pytest.mark.parametrize("router", ["gateway", "replicas"])
def test_a_rollback_goes_as_written_down(router: str) -> None:
    options: dict[str, Any] = {"traffic": Traffic()} if router == "replicas" else {}
    world = serving(**options)
    world.verdicts["2"] = "Fail"
    world.apply(make_spec("2", rollout=make_rollout(20, 50, analysis=True), **options))
    compare(f"rollback-{router}.txt", transcribe(world, 15.0))


def test_the_objects_of_a_model_are_rendered_as_written_down() -> None:
    world, rendered = World(make_spec("1")), []
    for _ in range(40):
        made = world.step()
        rendered += [json.loads(json.dumps(w.body)) for w in made.writes if isinstance(w, Create)]
        world.tick(0.5)
    compare("objects.yaml", yaml.safe_dump_all(rendered, sort_keys=True, width=100))
