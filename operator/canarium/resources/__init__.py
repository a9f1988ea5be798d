"""Builders of the objects that Canarium writes: one a kind, pure, deterministic."""
