"""The controller: brings objects of several kinds to where their plans want them."""

from canarium.shell.controller.controller import Controller
from canarium.shell.controller.tenant import Position, Tenant

__all__ = ["Controller", "Position", "Tenant"]
