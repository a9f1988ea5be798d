"""Objects as commands read them, and what a command means for one. Pure."""
