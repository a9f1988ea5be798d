"""The pure core: what was observed goes in, a plan comes out; no I/O, no clock, no logging."""
