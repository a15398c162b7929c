"""
Settings and addresses as they may be shown: without what is secret in them.
"""

import re
from typing import Any
from urllib.parse import unquote

MASK = "***"

_SHOWN_PARAMETER = re.compile(r"prefix|sentinel_username|ssl_(?!.*password)\w*")
_SECRET_NAME = re.compile(r"password|secret|token|api_key")


def without_secrets(url: str) -> str:
    """
    The URL, with `***` for passwords and for parameters that are not known to be harmless.

    Nothing of it but the scheme is left if a password may begin anywhere, because it has
    characters that should have been percent-encoded.
    """
    scheme, separator, rest = url.rpartition("://") if url.count("://") == 1 else ("", "", url)
    start = scheme + separator
    credentials, at, place = rest.rpartition("@")
    user, colon, _ = credentials.partition(":")
    if at and colon:
        if any(mark in credentials for mark in "/?#"):
            return start + MASK
        rest = f"{user}:{MASK}@{place}"
    elif ":" in unquote(credentials):
        rest = f"{MASK}@{place}"
    rest, hash_, _ = rest.partition("#")
    path, question, query = rest.partition("?")
    shown_query = "&".join(map(_shown_parameter, query.split("&"))) if query else ""
    return start + path + question + shown_query + (f"#{MASK}" if hash_ else "")


def _shown_parameter(parameter: str) -> str:
    name, equals, value = parameter.partition("=")
    if not equals:
        return MASK
    is_harmless = _SHOWN_PARAMETER.fullmatch(name) and ";" not in value
    return f"{name}={value if is_harmless else MASK}"


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
