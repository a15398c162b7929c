"""
Settings and addresses as they may be shown: without what is secret in them.
"""

import re
from typing import Any

MASK = "***"

# A user's password in a URL, and parameters of its query.
_USERINFO = re.compile(r"(?<=://)([^/@:]*):([^/]*)@")
_PARAMETER = re.compile(r"([?&][^=&]*(?:password|secret|token)[^=&]*=)[^&]*", re.IGNORECASE)
_SECRET_NAME = re.compile(r"password|secret|token|api_key")


def without_secrets(url: str) -> str:
    """The URL, with `***` for passwords."""
    return _PARAMETER.sub(rf"\1{MASK}", _USERINFO.sub(rf"\1:{MASK}@", url))


def shown(name: str, value: Any) -> Any:
    """
    The value of a setting as an operator may see it.

    A setting whose name says that it is a secret is masked as a whole, unless it names a file.
    """
    if isinstance(value, str):
        if value and _SECRET_NAME.search(name) and not name.endswith("_file"):
            return MASK
        return without_secrets(value)
    if isinstance(value, tuple | list):
        return [shown(name, each) for each in value]
    return value
