"""``python -m testbed.images.bill`` prints the bill of materials of the operator's image."""

import sys
import tarfile
from pathlib import Path

from testbed.images.archive import extract, read_manifest
from testbed.images.operator import BILL, build_operator
from testbed.programs.progress import Progress


def read_file(archive: Path, path: str) -> bytes:
    """A file of the archive's one image; raises KeyError where it isn't one.

    ``path`` has no slash in front. The last layer that has it counts.
    """
    (image,) = read_manifest(archive)
    with tarfile.open(archive) as tar:
        for name in reversed(image["Layers"]):
            with tarfile.open(fileobj=extract(tar, name)) as layer:
                if path in layer.getnames():
                    return extract(layer, path).read()
    raise KeyError(path)


if __name__ == "__main__":
    sys.stdout.buffer.write(read_file(build_operator(Progress()), BILL))
