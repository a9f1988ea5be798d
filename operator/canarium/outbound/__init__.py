"""Connections to whatever people name: addresses, credentials, limits, shares."""
