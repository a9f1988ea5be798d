"""A simulated cluster in virtual time, in which the real core and controller roll models out."""
