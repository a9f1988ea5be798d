"""Profiles that users write: a ConfigMap's data, a profile a key, each a text in YAML or JSON.

Where ours have regular expressions, users write patterns with `*`: nobody can write one that
keeps the operator busy.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, get_args

import yaml

from canarium.queries.profiles import PROFILES, Counting, Profile, Unit

MAX_PROFILES = 50
MAX_TEXT = 10_000
MAX_LIST = 20
MAX_PATTERN = 200

_NAME = re.compile(r"[a-z][A-Za-z0-9-]{0,62}")
_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]{0,199}")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]{0,199}")
_FIELDS = ("requests", "counting", "failures", "status", "duration", "routes", "methods", "labels")


def parse_profiles(data: Mapping[str, str]) -> tuple[dict[str, Profile], tuple[str, ...]]:
    """Read a ConfigMap's data: the profiles that can be used, and a sentence for each other key."""
    profiles, problems = {}, []
    for name in sorted(data)[:MAX_PROFILES]:
        try:
            profiles[name] = parse_profile(name, _load(data[name]))
        except ValueError as error:
            problems.append(f"profile {name[:63]}: {error}")
    if len(data) > MAX_PROFILES:
        problems.append(f"{len(data)} profiles, of which the first {MAX_PROFILES} are read")
    return profiles, tuple(problems)


def parse_profile(name: str, fields: Mapping[str, Any]) -> Profile:
    """Read one profile. Raises ValueError naming the field, with what to write instead."""
    if name in PROFILES:
        raise ValueError("is the name of a profile that Canarium has; choose another one")
    if _NAME.fullmatch(name) is None:
        raise ValueError("a name is up to 63 letters, digits and -, beginning with a small letter")
    _check_keys("", fields, _FIELDS)
    profile = _add_answers(Profile(requests=None, duration=None), fields)
    profile = _add_selection(_add_duration(profile, fields), fields)
    if profile.requests is None and profile.duration is None:
        raise ValueError("requests or duration: give at least one of the two")
    return profile


def make_pattern(pattern: str) -> str:
    """Make the regular expression of a pattern whose `*` stands for any text.

    Each `*` takes the first place where what follows it fits, and never looks for another one, so
    that the time is bounded by the lengths of the pattern and of the text.
    """
    first, *others = pattern.split("*")
    if not others:
        return rf"\A{re.escape(first)}\Z"
    between = "".join(f"(?>.*?{re.escape(piece)})" for piece in others[:-1])
    return rf"(?s:\A{re.escape(first)}{between}.*{re.escape(others[-1])}\Z)"


def _load(text: str) -> Mapping[str, Any]:
    if len(text) > MAX_TEXT:
        raise ValueError(f"is longer than {MAX_TEXT} characters")
    try:
        fields = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise ValueError(f"is neither YAML nor JSON: {' '.join(str(error).split())}") from error
    return _check_mapping("", fields)


def _add_answers(profile: Profile, fields: Mapping[str, Any]) -> Profile:
    status = _check_mapping("status", fields.get("status", {}))
    _check_keys("status", status, ("labels", "errors"))
    profile = replace(
        profile,
        requests=_read_metric("requests", fields.get("requests")),
        failures=_read_metric("failures", fields.get("failures")),
        status_labels=_read_labels("status.labels", status.get("labels", [])),
        counting=_read_choice("counting", fields.get("counting", "All"), get_args(Counting)),
    )
    if "errors" in status:
        profile = replace(profile, error_status=_read_patterns("status.errors", status["errors"]))
    if profile.requests is not None and not profile.counts_errors:
        raise ValueError("status.labels: needed to tell errors by, or else failures")
    if profile.requests is None and (profile.failures or profile.status_labels):
        raise ValueError("requests: needed beside failures and status; name the counter")
    if profile.counting == "Successes" and profile.failures is None:
        raise ValueError("failures: needed where requests counts Successes only; name the counter")
    return profile


def _add_duration(profile: Profile, fields: Mapping[str, Any]) -> Profile:
    duration = _check_mapping("duration", fields.get("duration", {}))
    _check_keys("duration", duration, ("histogram", "unit"))
    name = _read_metric("duration.histogram", duration.get("histogram"))
    if name is None and duration:
        raise ValueError("duration.histogram: name the histogram, without _bucket")
    if name is not None and name.endswith("_bucket"):
        raise ValueError(f"duration.histogram: write {name.removesuffix('_bucket')}")
    unit = _read_choice("duration.unit", duration.get("unit", "Seconds"), get_args(Unit))
    return replace(profile, duration=name, unit=unit)


def _add_selection(profile: Profile, fields: Mapping[str, Any]) -> Profile:
    routes = _check_mapping("routes", fields.get("routes", {}))
    _check_keys("routes", routes, ("labels", "only", "except"))
    excluded = routes.get("except")
    if routes and not routes.get("labels"):
        raise ValueError("routes.labels: name the labels that hold the route, such as path")
    labels = _check_mapping("labels", fields.get("labels", {}))
    _read_labels("labels", list(labels))
    return replace(
        profile,
        route_labels=_read_labels("routes.labels", routes.get("labels", [])),
        routes=_read_patterns("routes.only", routes["only"]) if "only" in routes else "",
        not_routes=_read_patterns("routes.except", excluded) if excluded is not None else None,
        methods=_read_texts("methods", fields.get("methods", [])),
        labels=tuple(
            (name, _read_patterns(f"labels.{name}", [value])) for name, value in labels.items()
        ),
    )


def _check_mapping(field: str, value: object) -> Mapping[str, Any]:
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise ValueError(f"{field or 'a profile'}: has to be a mapping of names to values")
    return value


def _check_keys(field: str, value: Mapping[str, Any], known: tuple[str, ...]) -> None:
    unknown = next((key for key in value if key not in known), None)
    if unknown is not None:
        path = f"{field}.{unknown}" if field else unknown
        raise ValueError(f"{path[:100]}: no such field; there are {', '.join(known)}")


def _read_metric(field: str, value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or _METRIC.fullmatch(value) is None:
        raise ValueError(f"{field}: has to be a metric's name, such as http_requests_total")
    return value


def _read_labels(field: str, value: object) -> tuple[str, ...]:
    names = _read_texts(field, value)
    if any(_LABEL.fullmatch(name) is None for name in names):
        raise ValueError(f"{field}: has to be names of labels, such as path or status_code")
    return names


def _read_texts(field: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) > MAX_LIST:
        raise ValueError(f"{field}: has to be a list of up to {MAX_LIST} texts")
    if not all(isinstance(text, str) and 0 < len(text) <= MAX_PATTERN for text in value):
        raise ValueError(f"{field}: each has to be a text of 1 to {MAX_PATTERN} characters, quoted")
    return tuple(value)


def _read_patterns(field: str, value: object) -> str:
    patterns = _read_texts(field, value)
    if not patterns:
        raise ValueError(f"{field}: has to have at least one pattern, such as /v1/*")
    return "|".join(make_pattern(pattern) for pattern in patterns)


def _read_choice(field: str, value: object, known: tuple[Any, ...]) -> Any:
    if value not in known:
        raise ValueError(f"{field}: has to be one of {', '.join(known)}")
    return value
