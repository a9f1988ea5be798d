"""Real local clusters, their images, who watches them, and the demo: what tests and people use."""
