"""The corten command: a table of commands, each loaded when it runs."""
