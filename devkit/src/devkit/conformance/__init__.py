"""Vectors for whoever verifies session tokens or consumes events, and commands that send them to any program."""
