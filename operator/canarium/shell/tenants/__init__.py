"""A file a kind that the controller works on."""
