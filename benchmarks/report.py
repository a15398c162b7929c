"""
What the benchmarks print: the machine, and a table or one JSON object.
"""

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any


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


def show(title: str, results: Sequence[Any], columns: dict[str, str], *, as_json: bool) -> None:
    """
    Print the results, which are dataclasses.

    Args:
        columns: For each field that the table shows, how it is formatted.
    """
    if as_json:
        report = {"benchmark": title, "machine": machine()}
        print(json.dumps({**report, "results": [asdict(result) for result in results]}))
        return
    print(f"{title} ({', '.join(f'{k} {v}' for k, v in machine().items())})")
    rows = [[name.replace("_", " ") for name in columns]]
    rows += [
        [
            "-" if getattr(r, name) is None else format(getattr(r, name), form)
            for name, form in columns.items()
        ]
        for r in results
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for first, *others in rows:
        line = [first.ljust(widths[0])]
        line += [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        print("  ".join(line))
