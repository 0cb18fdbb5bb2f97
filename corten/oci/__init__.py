"""Pure values of the OCI formats: no I/O."""
