"""The commands: their arguments, and thin functions that call what does the work."""
