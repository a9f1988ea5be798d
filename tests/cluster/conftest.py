"""The control plane that several of these files share: it lasts until the last test."""

from testbed.cluster.fixtures import control_plane

__all__ = ["control_plane"]
