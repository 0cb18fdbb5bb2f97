"""Frozen values that the layers of the engine pass to each other."""
