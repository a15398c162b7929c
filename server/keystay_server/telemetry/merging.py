"""
The counts of several processes that are one node, as JSON documents and as one sum.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from keystay_server.telemetry.counts import Counts
from keystay_server.telemetry.durations import Commands, Durations, Operations

_NOW = "_now"


def to_document(counts: Counts) -> dict[str, Any]:
    """Return the counts as JSON has them."""
    return {field.name: _document(getattr(counts, field.name)) for field in fields(counts)}


def add_document(counts: Counts, document: Mapping[str, Any], *, is_gone: bool = False) -> None:
    """
    Add the counts of a process to those of others.

    Times are the latest of all.

    Args:
        is_gone: The process has ended: what goes up and down is left out.
    """
    for field in fields(counts):
        value, sum_ = document[field.name], getattr(counts, field.name)
        match sum_:
            case bool():
                setattr(counts, field.name, sum_ or value)
            case int():
                if not (is_gone and field.name.endswith(_NOW)):
                    setattr(counts, field.name, sum_ + value)
            case float():
                setattr(counts, field.name, max(sum_, value))
            case Durations():
                _add_durations(sum_, value)
            case Counter():
                sum_.update(value)
            case dict():
                kind = Commands if field.name == "methods" else Operations
                for name, each in value.items():
                    _add_durations(sum_.setdefault(name, kind()), each)


def _document(value: Any) -> Any:
    match value:
        case Durations():
            document = {"counts": value.counts, "seconds": value.seconds}
            match value:
                case Commands():
                    document["failures"] = value.failures
                case Operations():
                    document["errors"] = value.errors
            return document
        case dict():
            return {str(name): _document(each) for name, each in value.items()}
        case _:
            return value


def _add_durations(durations: Durations, document: Mapping[str, Any]) -> None:
    both = zip(durations.counts, document["counts"], strict=True)
    durations.counts = [ours + theirs for ours, theirs in both]
    durations.seconds += document["seconds"]
    match durations:
        case Commands():
            for code, number in document["failures"].items():
                durations.failures[code] = durations.failures.get(code, 0) + number
        case Operations():
            durations.errors += document["errors"]
