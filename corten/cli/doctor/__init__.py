"""What ``corten doctor`` looks at, one module per field. Works without a daemon and knows nothing of the engine."""
