"""Measuring: while a step is judged, each object's readings are taken and given to the judge."""

from canarium.metrics.sessions.measurements import Measurements, Settings
from canarium.metrics.sessions.session import SILENT_READINGS, Meter, make_targets, make_url

__all__ = ["SILENT_READINGS", "Measurements", "Meter", "Settings", "make_targets", "make_url"]
