"""Measuring: while a step is judged, each object's readings are taken and given to the judge."""

from canarium.measuring.measurements import Measurements, Settings
from canarium.measuring.session import SILENT_READINGS, Meter, make_targets, make_url

__all__ = ["SILENT_READINGS", "Measurements", "Meter", "Settings", "make_targets", "make_url"]
