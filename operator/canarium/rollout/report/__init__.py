"""What people and tools read: conditions, phase, one reason and message, events. Pure."""
