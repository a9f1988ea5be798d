"""MetricTemplates: what they say of themselves, and those that come along."""
