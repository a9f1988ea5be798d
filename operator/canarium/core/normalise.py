"""One spelling for everything that means the same, so that only real changes make revisions.

A source is the {model, server, pod} part of a spec. Left-out and empty are the same but where
emptiness itself says something; the order of environment variables matters, that of labels doesn't.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from canarium.core.quantities import canonical_quantity, is_quantity

DEFAULT_PORT = 8080
DEFAULT_METRICS_PATH = "/metrics"
DEFAULT_PROFILE = "Prometheus"

_QUANTITIES = frozenset({"sizeLimit", "divisor"})
_QUANTITY_MAPS = frozenset({"limits", "requests"})
_TEXT_MAPS = frozenset({"labels", "annotations", "nodeSelector", "matchLabels"})
_TELLING_WHEN_EMPTY = frozenset({"emptyDir", "labelSelector", "preference"})
_FALSE_BY_DEFAULT = frozenset({"optional", "readOnly"})


def normalise_source(source: Mapping[str, Any]) -> dict[str, Any]:
    """Bring a source into its one spelling; doing it twice changes nothing.

    The server's port and, where metrics are given, their endpoint are filled in, quantities are
    spelled as the apiserver does, what is null, empty or false by default is dropped. Below the
    top, the source is plain dicts and lists, as JSON decodes.
    """
    plain = {part: _normalise(part, value) for part, value in source.items()}
    server = dict(plain.get("server") or {})
    server.setdefault("port", DEFAULT_PORT)
    if (source.get("server") or {}).get("metrics") is not None:
        server["metrics"] = _fill_metrics(server.get("metrics") or {}, server["port"])
    model = plain.get("model") or {}
    pod = plain.get("pod") or {}
    parts = {"model": model, "pod": pod, "server": server}
    return {name: part for name, part in parts.items() if part}


def metrics_endpoint(normal: Mapping[str, Any]) -> dict[str, Any] | None:
    """Port, path and profile of a normalised source's metrics endpoint, None when it has none."""
    found: dict[str, Any] | None = normal["server"].get("metrics")
    return found


def list_unrequested(normal: Mapping[str, Any]) -> tuple[str, ...]:
    """Which of cpu and memory a normalised source's server neither requests nor limits."""
    resources = normal["server"].get("resources", {})
    asked = {*resources.get("requests", ()), *resources.get("limits", ())}
    return tuple(name for name in ("cpu", "memory") if name not in asked)


def canonical_json(value: Any) -> str:
    """Sorted keys, no spaces, no escapes beyond JSON's own: equal values give equal texts."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _fill_metrics(metrics: Mapping[str, Any], port: int) -> dict[str, Any]:
    defaults = {"port": port, "path": DEFAULT_METRICS_PATH, "profile": DEFAULT_PROFILE}
    return defaults | dict(metrics)


def _normalise(name: str, value: Any) -> Any:
    if name in _QUANTITIES:
        return _spell(value)
    if isinstance(value, dict):
        return _normalise_fields(name, value)
    if isinstance(value, list):
        return [_normalise("", item) for item in value]
    return value


def _normalise_fields(name: str, fields: dict[str, Any]) -> dict[str, Any]:
    if name in _TEXT_MAPS:
        return dict(fields)
    if name in _QUANTITY_MAPS:
        return {key: _spell(item) for key, item in fields.items()}
    normal = ((key, _normalise(key, item)) for key, item in fields.items())
    return {key: item for key, item in normal if not _says_nothing(key, item)}


def _spell(value: Any) -> Any:
    known = isinstance(value, int | str) and is_quantity(value)
    return canonical_quantity(value) if known else value


def _says_nothing(name: str, value: Any) -> bool:
    if value is None or value in ("", []):
        return True
    if value == {}:
        return name not in _TELLING_WHEN_EMPTY
    return value is False and name in _FALSE_BY_DEFAULT
