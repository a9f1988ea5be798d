"""What holds for all tests."""

from hypothesis import HealthCheck, settings

# How quickly the machine draws an example says nothing about what is tested.
settings.register_profile("canarium", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("canarium")
