"""What the operator tells of itself and of models: metrics and log lines."""
