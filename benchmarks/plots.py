"""
The plots of a run.
"""

from collections.abc import Iterable

from benchmarks.document import Document, Measured
from benchmarks.names import KEYSTAY, label
from benchmarks.svg import Bar, Caption, Line, bars, lines


def plots(document: Document) -> dict[str, str]:
    """The name of each file and its text, for the benchmarks that were run."""
    makers = {
        "commands": {"bench-commands.svg": _commands},
        "events": {"bench-events.svg": _events},
        "handshakes": {"bench-handshakes.svg": _handshakes},
        "growth": {"bench-growth.svg": _growth, "bench-memory.svg": _memory},
    }
    return {
        name: make(document.reports[benchmark])
        for benchmark, files in makers.items()
        if benchmark in document.reports
        for name, make in files.items()
    }


def _commands(measured: Measured) -> str:
    groups: dict[str, list[Bar]] = {}
    for result in measured.results:
        if result["command"] == "time.now":
            continue
        many = f", {result['in_flight']} in flight" if result["in_flight"] > 1 else ""
        groups.setdefault(result["command"] + many, []).append(_bar(result))
    return bars(Caption("CPU time of one command", "us of the server; less is better"), groups)


def _events(measured: Measured) -> str:
    groups: dict[str, list[Bar]] = {}
    for result in measured.results:
        one = "one actor that all connections belong to"
        to = "all connections" if result["to"] == "everybody" else one
        groups.setdefault(f"to {to}", []).append(_bar(result))
    unit = "us of the server for each connection that gets it; less is better"
    return bars(Caption("CPU time of one event", unit), groups)


def _handshakes(measured: Measured) -> str:
    groups: dict[str, list[Bar]] = {}
    for result in measured.results:
        groups.setdefault(f"handshake + {result['first']}", []).append(_bar(result))
    unit = "us of the server, one client after another; less is better"
    return bars(Caption("CPU time of a client that comes", unit), groups)


def _growth(measured: Measured) -> str:
    asking = max(result["asking"] for result in measured.results)
    unit = f"us of the server, at most {asking:,} connections asking; less is better"
    caption = Caption("CPU time of session.isValid while connections are open", unit)
    return lines(caption, _places(measured), _series(measured, "cpu_us", 1))


def _memory(measured: Measured) -> str:
    unit = "KiB of the server for each connection that is logged in; less is better"
    caption = Caption("Memory of a connection", unit)
    return lines(caption, _places(measured), _series(measured, "bytes_each", 1024))


def _places(measured: Measured) -> list[str]:
    return [f"{size:,}" for size in dict.fromkeys(_column(measured, "connections"))]


def _series(measured: Measured, figure: str, divisor: float) -> list[Line]:
    """Ours first: the first line stands out."""
    servers = dict.fromkeys(_column(measured, "server"))
    return [
        Line(
            label(server),
            [r[figure] / divisor for r in measured.results if r["server"] == server],
        )
        for server in sorted(servers, key=lambda server: server not in KEYSTAY)
    ]


def _column(measured: Measured, name: str) -> Iterable[str]:
    return (result[name] for result in measured.results)


def _bar(result: dict[str, str | float]) -> Bar:
    server = str(result["server"])
    return Bar(label(server), float(result["cpu_us"]), server in KEYSTAY)
