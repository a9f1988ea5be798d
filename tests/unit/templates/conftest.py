"""What is asked here is on loopback."""

from tests.unit.patience import patient

__all__ = ["patient"]
