"""Checking the store: every object by itself, and what they say about each other; repairing one object at a time."""
