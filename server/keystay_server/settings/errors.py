"""
What is raised for a setting with which the server cannot start.
"""

import errno
import socket

from keystay_server.settings.suggestions import did_you_mean

EXIT_MISCONFIGURED = 2
EXIT_TEMPORARY = 75
"""EX_TEMPFAIL of sysexits.h: a service manager starts the server again."""

_TEMPORARY_ERRORS = frozenset(
    {
        *(errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.ENETDOWN, errno.ENODEV),
        *(errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EAGAIN, errno.EINTR),
        *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO),
    }
)
_TEMPORARY_NAME_ERRORS = frozenset({socket.EAI_AGAIN, socket.EAI_MEMORY})


class ConfigError(Exception):
    """
    The server cannot start with a setting. The text is one line with its name and source.

    What caused it is its `__cause__`: it decides whether another start may succeed.

    Args:
        setting: Its name, or the name of what has to change instead, such as a variable.
        what: What is wrong with it.
        source: Where it was set, if known.
        nearest: The name that was probably meant.
    """

    def __init__(
        self,
        setting: str,
        what: str,
        *,
        source: str | None = None,
        nearest: str | None = None,
    ) -> None:
        super().__init__(setting, what)
        self.setting = setting
        self.what = what
        self.source = source
        self.nearest = nearest

    def __str__(self) -> str:
        where = "" if self.source is None else f", in {self.source}"
        return f"{self.setting}: {self.what}{where}{did_you_mean(self.nearest)}"

    @property
    def exit_code(self) -> int:
        """75 if another start may succeed without a change of the settings, else 2."""
        return EXIT_TEMPORARY if _is_temporary(self.__cause__) else EXIT_MISCONFIGURED

    def to_document(self) -> dict[str, str | None]:
        """The error as JSON output has it."""
        return {
            "error": str(self),
            "setting": self.setting,
            "source": self.source,
            "nearest": self.nearest,
        }


def _is_temporary(cause: BaseException | None) -> bool:
    # Imported here: most commands of the command line need no store.
    from keystay_protocol.errors import Unavailable
    from keystay_server.stores.errors import StoreNotReady

    match cause:
        case StoreNotReady() | Unavailable():
            return True
        case socket.gaierror():
            return cause.errno in _TEMPORARY_NAME_ERRORS
        case OSError():
            return cause.errno in _TEMPORARY_ERRORS
        case _:
            return False
