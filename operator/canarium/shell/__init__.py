"""The process: kopf's watch, one pass over one object, probes, leadership."""
