"""What a canary is judged by: sources, counters, and the sessions that read them."""
