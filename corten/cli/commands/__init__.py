"""One module per command or family; loaded by corten.cli.directory when the command runs."""
