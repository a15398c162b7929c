"""
What every benchmark has in common: its sizes as options, the machine, and a table or JSON.
"""

import argparse
import json
import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, fields
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Report:
    """What a benchmark showed: dataclasses of one kind, and the columns of their table."""

    title: str
    columns: dict[str, str]
    """For each field that the table shows, how it is formatted."""
    results: Sequence[Any]

    def rows(self) -> list[list[str]]:
        """The cells of the table, its head first."""
        head = [name.replace("_", " ") for name in self.columns]
        return [head, *(self._cells(asdict(result)) for result in self.results)]

    def _cells(self, result: dict[str, Any]) -> list[str]:
        return [
            "-" if result[name] is None else format(result[name], form)
            for name, form in self.columns.items()
        ]


def option(default: Any, help_: str) -> Any:
    """A field of the sizes of a benchmark: its default, and what `--help` says about it."""
    return field(default=default, metadata={"help": help_})


def command_line(
    kind: type[T],
    measure: Callable[[T], Report],
    description: str | None,
    arguments: Sequence[str] | None,
) -> None:
    """
    Run a benchmark with the sizes that the command line has, and print its report.

    Args:
        kind: A dataclass whose fields are made with `option`; each becomes an option.
    """
    parser = argparse.ArgumentParser(description=description)
    for each in fields(kind):  # type: ignore[arg-type]
        default: Any = each.default
        is_list = isinstance(default, tuple)
        shown = ",".join(map(str, default)) if is_list else default
        parser.add_argument(
            f"--{each.name.replace('_', '-')}",
            type=_list_like(default) if is_list else type(default),
            default=default,
            metavar="A,B" if is_list else "N",
            help=f"{each.metadata['help']} (default: {shown})",
        )
    parser.add_argument("--json", action="store_true", help="for programs")
    options = vars(parser.parse_args(arguments))
    as_json = options.pop("json")
    report = measure(kind(**options))
    print(_as_json(report) if as_json else _as_text(report))


def machine() -> dict[str, str]:
    """Where this runs, as far as it matters for the figures."""
    info = Path("/proc/cpuinfo").read_text()
    models = [
        line.split(":", 1)[1].strip() for line in info.splitlines() if "model name" in line
    ]
    return {
        "cpu": f"{os.cpu_count()} x {models[0] if models else platform.machine()}",
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "python": platform.python_version(),
        "websockets": version("websockets"),
        "uvloop": version("uvloop"),
    }


def ratio(values: Sequence[float], peers: Sequence[float]) -> float:
    """The median ratio to the peer of the same round: noise that lasts a round cancels out."""
    return median(value / peer for value, peer in zip(values, peers, strict=True))


def _list_like(default: tuple[Any, ...]) -> Callable[[str], tuple[Any, ...]]:
    kind = type(default[0])
    return lambda text: tuple(kind(part) for part in text.split(","))


def _as_json(report: Report) -> str:
    results = [asdict(result) for result in report.results]
    return json.dumps({"benchmark": report.title, "machine": machine(), "results": results})


def _as_text(report: Report) -> str:
    rows = report.rows()
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [f"{report.title} ({', '.join(f'{k} {v}' for k, v in machine().items())})"]
    for first, *others in rows:
        line = [first.ljust(widths[0])]
        line += [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        lines.append("  ".join(line))
    return "\n".join(lines)
