"""Backends carry commands to shards; they know nothing of what a command means."""
