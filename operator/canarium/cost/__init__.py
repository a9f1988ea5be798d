"""What revisions use, and what that costs."""
