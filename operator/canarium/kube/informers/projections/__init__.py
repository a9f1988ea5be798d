"""From the apiserver's JSON to the core's small records: decoded by type, the rest never built.

A record keeps what the core owns or needs: full dictionaries cost ten times the memory and time.
"""
