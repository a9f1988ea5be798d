"""The profiles that the API offers are the ones that the source knows."""

from typing import get_args

from canarium.api.containers import Metrics
from canarium.core.normalise import DEFAULT_PROFILE
from canarium.sources.profiles import PROFILES


def test_every_profile_of_the_schema_exists_and_no_other() -> None:
    offered = get_args(Metrics.model_fields["profile"].annotation)[0]
    assert set(get_args(offered)) == set(PROFILES)
    assert DEFAULT_PROFILE in PROFILES
