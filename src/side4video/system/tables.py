"""Prints tables; a closed pipe ends them as it ends other output."""

import rich.console


class Console(rich.console.Console):
    """A console whose user closes a pipe: `print` then raises `BrokenPipeError`, and `cli.py` ends the command.

    Rich itself would end the process with exit code 1, which has another meaning in some commands.

    >>> Console().print("a table")
    a table
    """

    def on_broken_pipe(self) -> None:
        """Called by rich in the handler of a `BrokenPipeError`."""
        raise
