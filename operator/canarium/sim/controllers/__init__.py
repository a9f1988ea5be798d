"""What acts in the simulated cluster: a module a controller."""
