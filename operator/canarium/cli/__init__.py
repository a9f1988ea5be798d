"""The `canarium` command."""
