"""
Standard input, output and error of a process that was started without some of them.
"""

import os
import sys


def open_standard_streams() -> None:
    """
    Open /dev/null in place of each standard stream that is closed.

    Otherwise the next socket gets its descriptor: what is printed goes into a connection,
    and libuv aborts the process when it closes a descriptor below 3.
    """
    for descriptor, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # Gets the lowest free descriptor, which is this.
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(descriptor, mode, closefd=False))
