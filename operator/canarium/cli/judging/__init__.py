"""What `canarium judge` is given, tries and shows."""
