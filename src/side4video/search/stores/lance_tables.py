"""Open and create LanceDB tables, explain connection errors, and repeat changes that conflict with other processes."""

import os
import re
import time
from collections.abc import Callable
from typing import TypeVar

import lancedb
import pyarrow as pa
from lancedb.table import Table

from side4video.search.stores.connection_errors import explain_connection_error

MAX_ATTEMPTS = 20
"""Maximum number of attempts if a change conflicts with another process; 4 seconds in total."""
_CONFLICT = re.compile("conflict|not found|no longer exists", re.IGNORECASE)

Result = TypeVar("Result")


def explain_errors(address: str, action: Callable[[], Result]) -> Result:
    """Run the first request to an object store; errors explain the cause and the remedy."""
    try:
        return action()
    except (OSError, RuntimeError, ValueError) as error:
        if "://" not in address:
            raise
        raise ConnectionError(explain_connection_error(address, error)) from error


def folder_state(address: str, name: str) -> tuple[int, int] | None:
    """A value that is another one after the folder of a table was deleted and made again; None without a folder."""
    try:
        state = os.stat(os.path.join(address, f"{name}.lance"))  # noqa: PTH116, PTH118 (runs with every query)
    except OSError:
        return None
    return state.st_ino, state.st_ctime_ns


def open_table(connection: lancedb.DBConnection, name: str) -> Table | None:
    """Open a table; None if it does not exist."""
    try:
        return connection.open_table(name)
    except ValueError as error:
        if "was not found" not in str(error):
            raise
        return None


def create_table(connection: lancedb.DBConnection, name: str, schema: pa.Schema) -> Table:
    """Open a table, or create it; another process may create it at the same moment."""
    table = open_table(connection, name)
    return connection.create_table(name, schema=schema, exist_ok=True) if table is None else table


def with_retries(action: Callable[[], Result]) -> Result:
    """Run an action, and repeat it if it conflicts with another process or if its version was removed."""
    for attempt in range(1, MAX_ATTEMPTS):
        try:
            return action()
        except (OSError, RuntimeError, ValueError) as error:
            if not _CONFLICT.search(str(error)):
                raise
            time.sleep(0.02 * attempt)
    return action()
