"""What holds for all tests."""

import gc
import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from testbed import failed

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


def pytest_configure(config: pytest.Config) -> None:
    """Note what failed, once for all workers."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(failed)


@pytest.fixture(autouse=True)
def thawed() -> Iterator[None]:
    """Undo what an operator that a test runs does to all of the process: it freezes what lives."""
    yield
    gc.unfreeze()
