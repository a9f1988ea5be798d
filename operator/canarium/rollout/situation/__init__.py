"""What is the case: the questions that deciding, reporting and writing ask. Pure."""
