"""What is written to the cluster, and in which order. Pure."""
