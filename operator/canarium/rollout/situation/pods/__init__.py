"""What is the matter with a revision's pods, and whose fault it is. Pure."""
