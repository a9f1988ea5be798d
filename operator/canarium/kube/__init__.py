"""Talking to Kubernetes: everything that does I/O with the apiserver, and nothing that decides."""
