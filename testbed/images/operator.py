"""The operator's own image, built from this repository's Dockerfile."""

from pathlib import Path

from testbed.images.build import Image, build_images
from testbed.programs.progress import Progress

CONTEXT = Path(__file__).parents[2]
BILL = "opt/canarium/sbom.cdx.json"
"Where the image has its bill of materials."
OPERATOR = Image("canarium", "test", {"SOURCE_DATE_EPOCH": "0"})


def build_operator(progress: Progress | None = None, context: Path = CONTEXT) -> Path:
    """The archive that holds ``canarium:test``; ``context`` is another checkout's, if given."""
    return build_images(context, [OPERATOR], progress)
