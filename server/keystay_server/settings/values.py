"""
How the value of a setting is read: as what its default is.
"""

from typing import Any

MAX_NUMBER = 100 * 365 * 86_400
"""No number is greater: a hundred years, where it is a time."""

_KINDS = {bool: "true or false", int: "a whole number", float: "a number of seconds"}


def converted(value: Any, default: Any) -> Any:
    """
    The value, as the type of the default; text is read, other values must fit.

    Raises:
        ValueError: If it is not of the type. The text says what it must be.
    """
    try:
        match default, value:
            case bool(), bool():
                return value
            case bool(), str():
                return {"1": True, "true": True, "0": False, "false": False}[value.lower()]
            # To a pattern, a bool is an int too.
            case int(), str() | int() if bool not in {type(default), type(value)}:
                return _not_negative(int(value))
            case float(), str() | int() | float() if not isinstance(value, bool):
                return _not_negative(float(value))
            case tuple(), str():
                return tuple(part.strip() for part in value.split(",") if part.strip())
            case tuple(), list() | tuple() if all(isinstance(part, str) for part in value):
                return tuple(value)
            case str(), str():
                return value
    except (KeyError, ValueError):
        pass
    raise ValueError(f"must be {_KINDS.get(type(default), 'text')}")


def _not_negative(number: Any) -> Any:
    if not 0 <= number <= MAX_NUMBER:
        raise ValueError
    return number
