"""What was last seen of each kind, and how it is kept up to date."""
