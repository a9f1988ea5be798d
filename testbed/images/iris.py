"""The images of examples/iris: five versions of one model, in one archive.

There is no image of v6: that it is on no node is what v6 is about.
"""

from pathlib import Path

from testbed.images.build import Image, build_images
from testbed.programs.progress import Progress

CONTEXT = Path(__file__).parents[2] / "examples" / "iris"
VERSIONS = ("v1", "v2", "v3", "v4", "v5")


def build_iris(progress: Progress | None = None) -> Path:
    """The archive that holds canarium-iris:v1 to canarium-iris:v5."""
    versions = [Image("canarium-iris", version, {"VERSION": version}) for version in VERSIONS]
    return build_images(CONTEXT, versions, progress)
