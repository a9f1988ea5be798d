"""The image of Envoy, which Envoy Gateway runs as its data plane."""

from pathlib import Path

from testbed.images.build import Image, build_images
from testbed.programs.progress import Progress

CONTEXT = Path(__file__).parents[1] / "envoy"
# The version that Envoy Gateway 1.9.1 was released with; requirements.lock has it too.
ENVOY = Image("canarium-envoy", "v1.39.1")


def build_envoy(progress: Progress | None = None) -> Path:
    """The archive that holds Envoy's image."""
    return build_images(CONTEXT, [ENVOY], progress)
