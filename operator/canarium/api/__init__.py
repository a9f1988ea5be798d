"""The edge where YAML comes in: what may be written, and what the core makes of it."""

from canarium.api.durations import format_duration, parse_duration
from canarium.api.modeldeployment.parsing import (
    parse_deployment,
    parse_rollout,
    parse_template,
    parse_traffic,
)

__all__ = [
    "format_duration",
    "parse_deployment",
    "parse_duration",
    "parse_rollout",
    "parse_template",
    "parse_traffic",
]
