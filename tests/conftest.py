"""What holds for all tests."""

import os

from hypothesis import HealthCheck, settings

# How quickly the machine draws an example says nothing about what is tested. CI tries the same
# examples every time, so that what fails there was broken by the change; `make check` tries new
# ones.
settings.register_profile(
    "canarium",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=bool(os.environ.get("CI")),
)
settings.load_profile("canarium")
