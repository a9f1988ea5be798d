"""Where measurements come from: one module a source, each giving readings to the judge."""
