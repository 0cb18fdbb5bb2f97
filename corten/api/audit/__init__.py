"""Who asked for what: a line of JSON for every change, written before the change and again with its outcome."""
