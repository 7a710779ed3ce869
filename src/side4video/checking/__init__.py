"""Data sets looked through before training: every file opened, what is wrong with it said, a clean list written."""
