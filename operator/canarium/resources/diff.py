"""Whether a live object still says what we wrote: everything of ours is there, as we wrote it.

The apiserver adds defaults and others may own fields beside ours, so a comparison is one-sided:
what we render (quantities in the apiserver's spelling) must be found in what lives.
Results are remembered by value, since the same pair is compared in every pass.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from canarium.core.names import RESTART_ANNOTATION
from canarium.memo import remember


@remember()
def contains(live: bytes, rendered: str) -> bool:
    """Whether the live JSON has every field of the rendered JSON with the same value."""
    return _contains(json.loads(live), json.loads(rendered))


@remember()
def fingerprint(template: bytes) -> str:
    """The same for templates that say the same, in whatever order."""
    text = json.dumps(json.loads(template), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


@remember()
def read_restart(template: bytes) -> str:
    """When a person last had the pods of this template replaced; "" when nobody did."""
    meta = json.loads(template).get("metadata") or {}
    return str((meta.get("annotations") or {}).get(RESTART_ANNOTATION) or "")


def _contains(live: Any, ours: Any) -> bool:
    if isinstance(ours, dict):
        return isinstance(live, dict) and all(
            _contains(live.get(key), value) for key, value in ours.items() if not _is_empty(value)
        )
    if isinstance(ours, list):
        return isinstance(live, list) and _contains_items(live, ours)
    return bool(live == ours)


def _is_empty(value: Any) -> bool:
    return value is None or value in ([], {}, "")


def _contains_items(live: list[Any], ours: list[Any]) -> bool:
    if ours and all(isinstance(item, dict) and "name" in item for item in ours):
        by_name = {item.get("name"): item for item in live if isinstance(item, dict)}
        return all(_contains(by_name.get(item["name"]), item) for item in ours)
    return len(live) == len(ours) and all(map(_contains, live, ours))
