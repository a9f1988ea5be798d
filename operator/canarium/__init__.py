"""Canarium rolls machine-learning models out on Kubernetes and takes bad versions back."""

__version__ = "0.1.0"
