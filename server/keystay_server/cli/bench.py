"""
`keystay bench`: measures a server from the clients' side, for a bounded time.

It uses the Python SDK, so one process sends a few thousand commands a second at most; the
result names the share of a core that it used itself.
"""

import asyncio
import math
import time
from argparse import ArgumentTypeError, Namespace
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from keystay_protocol.errors import CommandError, KeystayError
from keystay_server.cli.arguments import Parser, Refused, add_json, seconds
from keystay_server.cli.screen import progress, show
from keystay_server.cli.text import Answer, aligned
from keystay_server.settings.addresses import is_loopback

if TYPE_CHECKING:
    from keystay import Client

MAX_CONNECTIONS = 5000
MAX_SECONDS = 600.0
MAX_WEIGHT = 100
AT_ONCE = 50
"""Connections that are opened at the same time."""
REPORT_EVERY_S = 0.5
BAR = 40

COMMANDS = ("isValid", "restore", "list", "now")


@dataclass(slots=True)
class Samples:
    """The calls of one command: how long each took, and the codes of those refused."""

    ms: list[float] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)

    def quantile(self, part: float) -> float:
        """The milliseconds that this part of the calls did not exceed."""
        ordered = sorted(self.ms)
        return ordered[min(len(ordered) - 1, math.ceil(part * len(ordered)) - 1)]


def build(parser: Parser) -> None:
    """Add the arguments."""
    add_json(parser)
    parser.add_argument("url", metavar="URL", help="the client port, ws://HOST:PORT")
    parser.add_argument(
        "--connections", type=_count, default=50, metavar="N", help="default 50"
    )
    parser.add_argument(
        "--seconds", type=_duration, default=10.0, metavar="S", help="default 10"
    )
    parser.add_argument(
        "--mix",
        type=mix,
        default=mix("isValid=8,restore=1,now=1"),
        metavar="COMMAND=WEIGHT,...",
        help=f"of {', '.join(COMMANDS)}; default isValid=8,restore=1,now=1",
    )
    parser.add_argument(
        "--yes", action="store_true", help="allow an address that is not this machine"
    )
    parser.set_defaults(run=_run)


def mix(text: str) -> Mapping[str, int]:
    """Read `COMMAND=WEIGHT,...`."""
    weights: dict[str, int] = {}
    for part in text.split(","):
        name, _, weight = part.strip().partition("=")
        if name not in COMMANDS or not weight.isascii() or not weight.isdigit():
            raise ArgumentTypeError(f"must be COMMAND=WEIGHT, of {', '.join(COMMANDS)}")
        weights[name] = int(weight)
    if not sum(weights.values()) > 0 or max(weights.values()) > MAX_WEIGHT:
        raise ArgumentTypeError(f"weights must be up to {MAX_WEIGHT}, and not all 0")
    return weights


def _count(text: str) -> int:
    number = int(text) if text.isascii() and text.isdigit() else 0
    if not 1 <= number <= MAX_CONNECTIONS:
        raise ArgumentTypeError(f"must be from 1 to {MAX_CONNECTIONS}")
    return number


def _duration(text: str) -> float:
    number = seconds(text)
    if not 0 < number <= MAX_SECONDS:
        raise ArgumentTypeError(f"must be more than 0 and at most {MAX_SECONDS:.0f} s")
    return number


def _run(options: Namespace) -> int:
    host = urlsplit(options.url).hostname
    if not is_loopback(host) and not options.yes:
        raise Refused(f"{host} is not this machine: to load another one, add --yes")
    try:
        with progress(f"opening {options.connections} connections") as report:
            answer = asyncio.run(_bench(options, report))
    except KeystayError as error:
        raise Refused(f"{options.url}: {error}") from error
    except ValueError as error:
        raise Refused(str(error)) from error
    show(answer, as_json=options.json)
    return 0


async def _bench(options: Namespace, report: Callable[[str], None]) -> Answer:
    samples = {name: Samples() for name in ("login", *options.mix)}
    clients: list[Client] = []
    try:
        begun = time.perf_counter()
        await _open(options, clients, samples["login"])
        opened_s = time.perf_counter() - begun
        begun, cpu = time.perf_counter(), time.process_time()
        until = begun + options.seconds
        order = [name for name, weight in options.mix.items() for _ in range(weight)]
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_report(until, report))
            for number, client in enumerate(clients):
                shift = number % len(order)
                tasks.create_task(_call(client, order[shift:] + order[:shift], until, samples))
        took_s = time.perf_counter() - begun
        used = (time.process_time() - cpu) / took_s
    finally:
        await asyncio.gather(*(client.close() for client in clients))
    return _answer(samples, opened_s, took_s, used)


async def _open(options: Namespace, clients: "list[Client]", samples: Samples) -> None:
    # Imported late: help and errors need no SDK.
    from keystay import connect

    slots = asyncio.Semaphore(AT_ONCE)

    async def log_in() -> None:
        async with slots:
            begun = time.perf_counter()
            client = await connect(options.url)
            clients.append(client)
            await client.login("anonymous")
            samples.ms.append((time.perf_counter() - begun) * 1000)

    logins = [asyncio.create_task(log_in()) for _ in range(options.connections)]
    try:
        await asyncio.gather(*logins)
    finally:
        for login in logins:
            login.cancel()
        await asyncio.gather(*logins, return_exceptions=True)


async def _report(until: float, report: Callable[[str], None]) -> None:
    while (left_s := until - time.perf_counter()) > 0:
        report(f"{left_s:.0f} s left")
        await asyncio.sleep(min(REPORT_EVERY_S, left_s))


async def _call(
    client: "Client", order: Sequence[str], until: float, samples: Mapping[str, Samples]
) -> None:
    key = client.get_key()
    assert key is not None
    calls: Mapping[str, Callable[[], Any]] = {
        "isValid": lambda: client.is_valid(key),
        "restore": lambda: client.restore(key),
        "list": client.list,
        "now": client.now,
    }
    for name in cycle(order):
        begun = time.perf_counter()
        if begun >= until:
            return
        try:
            await calls[name]()
        except CommandError as error:
            samples[name].errors[error.code] += 1
        else:
            samples[name].ms.append((time.perf_counter() - begun) * 1000)


def _answer(
    samples: Mapping[str, Samples], opened_s: float, took_s: float, used: float
) -> Answer:
    rows, document = [], {}
    for name, of in samples.items():
        rate = len(of.ms) / (opened_s if name == "login" else took_s)
        errors = sum(of.errors.values())
        row = {"count": len(of.ms), "perSecond": round(rate, 1), "errors": dict(of.errors)}
        if of.ms:
            row |= {f"p{n}Ms": round(of.quantile(n / 100), 3) for n in (50, 90, 99)}
            row["maxMs"] = round(max(of.ms), 3)
        document[name] = row
        times = [f"{row[key]:.2f}" if of.ms else "-" for key in _TIMES]
        rows.append([name, str(len(of.ms)), f"{rate:.0f}", *times, str(errors)])
    commands = [ms for name, of in samples.items() if name != "login" for ms in of.ms]
    shown = [aligned([_COLUMNS, *rows]), "", *_histogram(commands)]
    shown += ["", f"This client used {used:.0%} of a core: above 90 % it was the limit itself."]
    result = {"seconds": round(took_s, 3), "clientCpu": round(used, 3), "commands": document}
    return Answer(result, "\n".join(shown))


_TIMES = ("p50Ms", "p90Ms", "p99Ms", "maxMs")
_COLUMNS = ("COMMAND", "COUNT", "PER s", "p50 ms", "p90 ms", "p99 ms", "MAX ms", "ERRORS")


def _histogram(ms: Sequence[float]) -> list[str]:
    """How often each latency was seen: a bar for each power of two."""
    buckets: Counter[int] = Counter(
        max(-4, math.ceil(math.log2(max(each, 1e-6)))) for each in ms
    )
    if not buckets:
        return ["No command succeeded."]
    most = max(buckets.values())
    lines = []
    for bucket in range(min(buckets), max(buckets) + 1):
        bar = "#" * math.ceil(BAR * buckets[bucket] / most)
        lines.append(f"up to {2.0**bucket:8.2f} ms  {buckets[bucket]:8}  {bar}".rstrip())
    return lines
