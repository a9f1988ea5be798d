"""What should be: from the status that was to the status that comes next. Pure."""
