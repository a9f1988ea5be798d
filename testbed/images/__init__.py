"""Container images for the tests and the demo, made without a registry and without an engine.

As root on Debian or Ubuntu they rest on a Debian that mmdebstrap puts together, and buildah follows
the Dockerfile; elsewhere a container engine does it. Both make one docker-archive in the cache.
"""

from testbed.images.base import base_image
from testbed.images.build import Image, build_image, build_images
from testbed.images.iris import build_iris
from testbed.images.operator import build_operator

__all__ = ["Image", "base_image", "build_image", "build_images", "build_iris", "build_operator"]
