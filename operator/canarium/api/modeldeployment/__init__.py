"""The ModelDeployment as people write it and read it."""
