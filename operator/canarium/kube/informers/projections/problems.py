"""What is said of a spec that cannot be read."""

from __future__ import annotations

from canarium.core.observed import Meta
from canarium.errors import Problem
from canarium.kube.boundary import Boundary


def make_problem(meta: Meta, error: Exception, boundary: Boundary) -> Problem:
    """What to say of a spec that this version has no words for."""
    name = boundary.note("Projecting", f"{meta.namespace}/{meta.name}", error)
    words = f"cannot be read by this version ({name}): undo what was changed last, and report it"
    return Problem("spec", words)
