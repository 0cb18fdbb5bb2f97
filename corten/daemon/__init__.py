"""cortend: configuration, wiring, signals."""
