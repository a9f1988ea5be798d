"""What must hold of a spec, said once for both who ask: the apiserver in CEL, and us in Python.

A `Rule` carries the CEL expression, the Python twin and the one message that people read. On a
scalar it stands in the field's annotation; on an object in the model's `rules`. As in the
apiserver, rules on objects run only when every field has the right shape, and then all of them do.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from canarium.errors import Problem

VALIDATIONS = "x-kubernetes-validations"


@dataclass(frozen=True, slots=True)
class Rule:
    """One condition: `cel` over `self`, and `holds`, its twin, over the parsed value.

    `at` is the child field that the error names. `locate` may name it more exactly than CEL's
    fieldPath can (an index in a list).
    """

    cel: str
    message: str
    holds: Callable[[Any], bool]
    at: str = ""
    locate: Callable[[Any], str] | None = None

    def as_validation(self) -> dict[str, str]:
        """Write this as an entry of x-kubernetes-validations."""
        validation = {"rule": self.cel, "message": self.message}
        return validation | ({"fieldPath": f".{self.at}"} if self.at else {})

    def path_of(self, value: Any) -> str:
        """Say where below the object the trouble is."""
        return self.locate(value) if self.locate else self.at

    def check(self, value: Any) -> Any:
        """Return the value, or raise pydantic's error with our message."""
        if not self.holds(value):
            # The message is passed as a value, for braces in it are not placeholders.
            raise PydanticCustomError("rule", "{message}", {"message": self.message})
        return value

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Run the twin after the field's own checks."""
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Put the CEL beside the field's own schema."""
        json_schema = dict(handler(schema))
        json_schema[VALIDATIONS] = [*json_schema.get(VALIDATIONS, ()), self.as_validation()]
        return json_schema


def matching(pattern: str, message: str) -> Rule:
    """Make the rule for texts that match the whole pattern, in RE2's syntax, which `re` reads."""
    compiled, quote = re.compile(pattern), '"' if "'" in pattern else "'"
    return Rule(
        cel=f"self.matches(r{quote}^({pattern})${quote})",
        message=message,
        holds=lambda text: compiled.fullmatch(text) is not None,
    )


@dataclass(frozen=True, slots=True)
class Shape(Rule):
    """A rule that the schema says as a plain `pattern`, which has no part in CEL's cost."""

    pattern: str = ""

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Put the pattern into the field's own schema."""
        return {**handler(schema), "pattern": f"^({self.pattern})$"}


def shaped(pattern: str, message: str) -> Shape:
    """Make the rule of `matching` where CEL's budget is better spent on something else.

    The apiserver then shows the pattern and not the message.
    """
    compiled = re.compile(pattern)
    return Shape(
        cel="",
        message=message,
        holds=lambda text: compiled.fullmatch(text) is not None,
        pattern=pattern,
    )


def not_matching(pattern: str, message: str) -> Rule:
    """Make the rule for texts in which the pattern is found nowhere."""
    compiled = re.compile(pattern)
    return Rule(
        cel=f"!self.matches(r'{pattern}')",
        message=message,
        holds=lambda text: compiled.search(text) is None,
    )


def exactly_one_of(*fields: str) -> Rule:
    """Make the rule for objects of which just one of these fields must be set."""
    attributes = [_attribute(name) for name in fields]
    present = ", ".join(f"has(self.{name})" for name in fields)
    return Rule(
        cel=f"[{present}].exists_one(given, given)",
        message=f"set exactly one of {', '.join(fields)}",
        holds=lambda value: sum(getattr(value, name) is not None for name in attributes) == 1,
    )


@dataclass(frozen=True, slots=True)
class Keyed:
    """A list of named things: `listType: map` with these keys, so no two may share them."""

    keys: tuple[str, ...]

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Check after the items are parsed."""
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Say it in Kubernetes' words."""
        return dict(handler(schema)) | {
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": list(self.keys),
        }

    def _check(self, items: list[Any]) -> list[Any]:
        attributes = [_attribute(key) for key in self.keys]
        seen = set()
        for item in items:
            key = tuple(getattr(item, name) for name in attributes)
            if key in seen:
                words = " and ".join(self.keys)
                shown = ", ".join(str(part) for part in key)[:80]
                context = {"words": words, "shown": shown}
                raise PydanticCustomError("duplicate", "two entries share {words} {shown}", context)
            seen.add(key)
        return items


def keyed(*keys: str) -> Keyed:
    """Mark a list of things that are told apart by these fields."""
    return Keyed(keys)


class Model(BaseModel):
    """An object of our API: camelCase outside, nothing unknown, nothing coerced."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        extra="forbid",
        strict=True,
        use_attribute_docstrings=True,
        protected_namespaces=(),
        defer_build=True,  # only the outermost model needs a validator: a third of the memory
    )

    rules: ClassVar[tuple[Rule, ...]] = ()

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Add the object's rules to its schema."""
        json_schema = dict(handler.resolve_ref_schema(handler(schema)))
        if cls.rules:
            json_schema[VALIDATIONS] = [rule.as_validation() for rule in cls.rules]
        return json_schema


def find_problems(value: Model, path: str) -> Iterator[Problem]:
    """Yield every rule that does not hold, of this object and of all below it."""
    for rule in value.rules:
        if not rule.holds(value):
            yield Problem(_join(path, rule.path_of(value)), rule.message)
    for name, outside in _children(type(value)):
        child = getattr(value, name)
        if isinstance(child, list):
            for index, item in enumerate(child):
                yield from find_problems(item, f"{_join(path, outside)}[{index}]")
        elif child is not None:
            yield from find_problems(child, _join(path, outside))


def fields_of(model: type[Model], location: Iterable[int | str]) -> list[str]:
    """Name the fields that an object at this place below the model may have."""
    for part in location:
        found = [info for name, info in model.model_fields.items() if info.alias == part]
        model = next(models_in(found[0].annotation)) if found else model
    return [info.alias or name for name, info in model.model_fields.items()]


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path and name else path or name


def _attribute(outside: str) -> str:
    return re.sub(r"(?<=[a-z0-9])([A-Z]+)", r"_\1", outside).lower()


@cache
def _children(model: type[Model]) -> tuple[tuple[str, str], ...]:
    """Name the fields below which there are objects with rules."""
    return tuple(
        (name, info.alias or name)
        for name, info in model.model_fields.items()
        if any(_has_rules(kind) for kind in models_in(info.annotation))
    )


def _has_rules(model: type[Model]) -> bool:
    return bool(model.rules or _children(model))


def models_in(annotation: Any) -> Iterator[type[Model]]:
    """Yield the models that a field's annotation names."""
    if isinstance(annotation, type) and issubclass(annotation, Model):
        yield annotation
    for argument in getattr(annotation, "__args__", ()):
        yield from models_in(argument)
