"""The only place that calls the kernel by hand."""
