"""PromQL, and the series that model servers have. Pure."""
