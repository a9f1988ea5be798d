"""Grafana's own model of a dashboard, to hold ours against: its foundation SDK, a PyPI wheel.

The SDK is generated from Grafana's schema (11.6 here). It takes any JSON without a word, so what it
makes of a dashboard is compared with the dashboard: what it dropped is no field of Grafana's, and
what is not of the type that it declares is wrong.
"""

import enum
import json
import sys
import types
import typing
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from testbed.programs.binaries import install_wheel
from testbed.programs.progress import Progress

Json = dict[str, Any]
PACKAGE = "grafana-foundation-sdk"
OF_PROMETHEUS = frozenset({"titleFormat", "useValueForTime", "step"})
"Fields of an annotation that the schema leaves to the data source's plugin, Prometheus' here."


def find_sdk(progress: Progress) -> Path:
    """Where the SDK is unpacked."""
    return install_wheel(PACKAGE, "Grafana's schema of dashboards", progress)


class GrafanaModel:
    """The SDK, imported from where it was unpacked."""

    def __init__(self, directory: Path) -> None:
        sys.path.append(str(directory))
        try:
            import_module("grafana_foundation_sdk.cog.plugins").register_default_plugins()
            self._encoder = import_module("grafana_foundation_sdk.cog.encoder").JSONEncoder
            self._dashboard = import_module("grafana_foundation_sdk.models.dashboard").Dashboard
        finally:
            sys.path.remove(str(directory))

    def find_problems(self, dashboard: Json) -> list[str]:
        """What of a dashboard is not as Grafana's schema has it; a sentence each."""
        read = self._dashboard.from_json(dashboard)
        written = json.loads(json.dumps(read, cls=self._encoder))
        return [*find_lost(dashboard, written, ""), *find_mistyped(read, "")]


def find_lost(ours: Any, theirs: Any, path: str) -> Iterator[str]:
    """What is in ours and not, or otherwise, in theirs; theirs may have defaults besides."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for name, value in ours.items():
            where = f"{path}.{name}"
            if name in theirs:
                yield from find_lost(value, theirs[name], where)
            elif not (path.startswith(".annotations.list[") and name in OF_PROMETHEUS):
                yield f"{where} is no field that Grafana knows"
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for number, pair in enumerate(zip(ours, theirs, strict=True)):
            yield from find_lost(*pair, f"{path}[{number}]")
    elif ours != theirs:
        yield f"{path} is {ours!r}, which Grafana reads as {theirs!r}"


def find_mistyped(value: Any, path: str) -> Iterator[str]:
    """Fields, at any depth, whose value is not of the type that the schema declares."""
    if isinstance(value, list):
        for number, item in enumerate(value):
            yield from find_mistyped(item, f"{path}[{number}]")
    if not _is_model(value):
        return
    for name, hint in typing.get_type_hints(type(value)).items():
        found = getattr(value, name)
        if not is_of(found, hint):
            yield f"{path}.{name} is {found!r}, not {hint}"
        yield from find_mistyped(found, f"{path}.{name}")


def _is_model(value: Any) -> bool:
    return type(value).__module__.startswith("grafana_foundation_sdk.models")


def is_of(value: Any, hint: Any) -> bool:
    """Whether a value is of a type; of its own fields nothing is said."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return any(is_of(value, each) for each in arguments)
    if origin is typing.Literal:
        return value in arguments
    if origin is list:
        return isinstance(value, list) and all(is_of(item, arguments[0]) for item in value)
    if origin is dict:
        return isinstance(value, dict) and all(is_of(v, arguments[1]) for v in value.values())
    return hint is Any or _is_instance(value, hint)


def _is_instance(value: Any, kind: type) -> bool:
    """The same for a plain type; the SDK leaves some objects as the dictionaries that they were."""
    if issubclass(kind, enum.Enum):
        return value in [member.value for member in kind]
    if isinstance(value, dict) and hasattr(kind, "from_json"):
        return set(value) <= set(kind.from_json(value).to_json())
    if isinstance(value, bool):
        return kind in (bool, object)
    return isinstance(value, (int, float) if kind is float else kind)
