"""
Runs all benchmarks, and writes JSON, Markdown and plots: `python -m benchmarks.suite`.

With all peers it takes about 13 minutes. `python -m benchmarks.publish` puts what it wrote into
the documentation.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import commands, events, growth, handshakes, idle, propagation, stored
from benchmarks.document import Document, machine_and_peers, read
from benchmarks.markdown import page_of
from benchmarks.peer_servers import CENTRIFUGO, FLOOR, NODE, PEER, SOCKET_IO, available
from benchmarks.plots import plots
from benchmarks.report import Report
from benchmarks.servers import STORES

FOLDER = Path("build/bench")
RESULTS, PAGE = "results.json", "results.md"


@dataclass(frozen=True, slots=True)
class Plan:
    """The sizes of each benchmark."""

    commands: commands.Sizes
    events: events.Sizes
    handshakes: handshakes.Sizes
    growth: growth.Sizes
    idle: idle.Sizes
    stored: stored.Sizes
    propagation: propagation.Sizes

    def benchmarks(self) -> dict[str, Callable[[], Report]]:
        """What there is to run."""
        return {
            "commands": lambda: commands.measure(self.commands),
            "events": lambda: events.measure(self.events),
            "handshakes": lambda: handshakes.measure(self.handshakes),
            "growth": lambda: growth.measure(self.growth),
            "idle": lambda: idle.measure(self.idle),
            "stored": lambda: stored.measure(self.stored),
            "propagation": lambda: propagation.measure(self.propagation),
        }


def full() -> Plan:
    """All of it, with the peers that are there."""
    web = tuple(available((FLOOR, PEER, NODE, SOCKET_IO)))
    fan_out = tuple(available((FLOOR, NODE, SOCKET_IO, CENTRIFUGO)))
    return Plan(
        commands=commands.Sizes(peers=web, stores=STORES, rounds=5),
        events=events.Sizes(peers=fan_out),
        handshakes=handshakes.Sizes(peers=web, stores=STORES, rounds=5),
        growth=growth.Sizes(peers=tuple(p for p in web if p in (FLOOR, NODE)), rounds=2),
        idle=idle.Sizes(connections=14_500, rounds=1, stores=("sqlite",), idle_s=20.0),
        stored=stored.Sizes(sessions=15_000),
        propagation=propagation.Sizes(logouts=500, rounds=1),
    )


def run(plan: Plan, folder: Path, only: Sequence[str] = ()) -> Document:
    """
    Run the benchmarks of a plan one by one, and write the results after each.

    One that fails is reported on standard error, and has no results, or its older ones.

    Args:
        only: Run these alone, and keep the other results that the folder has.
    """
    file = folder / RESULTS
    document = read(file) if only and file.exists() else Document()
    document.machine = machine_and_peers()
    for name, measure in plan.benchmarks().items():
        if not only or name in only:
            print(f"{name} ...", end=" ", file=sys.stderr, flush=True)
            load, began = os.getloadavg()[0], time.monotonic()
            date = datetime.now(UTC).strftime("%Y-%m-%d %H:%M")
            try:
                report = measure()
            except (Exception, SystemExit) as error:  # Too busy a machine, or too small a one.
                print(f"failed: {error!r}"[:200], file=sys.stderr)
                continue
            seconds = time.monotonic() - began
            print(f"{seconds:.0f} s", file=sys.stderr)
            document.add(name, report, date=date, seconds=seconds, load=load)
            write(document, folder)
    return document


def write(document: Document, folder: Path) -> None:
    """Write the results as JSON, as a page and as plots."""
    document.write(folder / RESULTS)
    (folder / PAGE).write_text(page_of(document))
    for name, svg in plots(document).items():
        (folder / name).write_text(svg)


def main(arguments: list[str] | None = None) -> None:
    """Run what the command line asks for, and say where the results are."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--into", type=Path, default=FOLDER, help=f"folder (default: {FOLDER})")
    parser.add_argument("--only", default="", metavar="A,B", help="run these, keep the others")
    options = parser.parse_args(arguments)
    only = [name for name in options.only.split(",") if name]
    plan = full()
    if unknown := set(only) - set(plan.benchmarks()):
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}")
    document = run(plan, options.into, only)
    print(f"{options.into / PAGE} has the tables, the plots are beside it")
    if missing := (set(only) or set(plan.benchmarks())) - set(document.reports):
        sys.exit(f"without results: {', '.join(sorted(missing))}")


if __name__ == "__main__":
    main()
