"""Decides for a ModelDeployment: `plan` is the only door."""
