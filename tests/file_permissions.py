"""File permissions apply in a block, also to the root user, who may otherwise read every file."""

import ctypes
import os
from contextlib import contextmanager

_VERSION = 0x20080522  # of the structures below
_IGNORE_PERMISSIONS = 1 << 1 | 1 << 2  # CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH


@contextmanager
def permissions_apply():
    """As root on Linux, the calling thread gives up the capabilities that ignore permissions; others have none."""
    if os.geteuid():
        yield
        return
    system = ctypes.CDLL(None, use_errno=True)
    header, sets = (ctypes.c_uint32 * 2)(_VERSION, 0), (ctypes.c_uint32 * 6)()
    assert system.capget(header, sets) == 0
    sets[0] &= ~_IGNORE_PERMISSIONS
    assert system.capset(header, sets) == 0
    try:
        yield
    finally:
        sets[0] = sets[1]  # all that are permitted
        assert system.capset(header, sets) == 0


@contextmanager
def without_permission(folder, mode=0):
    """`folder` cannot be read in the block."""
    before = folder.stat().st_mode
    folder.chmod(mode)
    try:
        with permissions_apply():
            yield
    finally:
        folder.chmod(before)
