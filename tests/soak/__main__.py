"""
The soak test: `make soak`, or `python -m tests.soak`.

Two nodes, one Valkey, hundreds of clients, and everything that can go wrong.
"""

import argparse
import asyncio
import sys

from tests.soak.run import Options, run
from tests.soak.table import show, show_violations


def main() -> int:
    """Run it; print counts and violations; return 1 if there were any."""
    options = _options()
    print(
        f"{options.clients} clients, {options.seconds:g} s, "
        f"policy {options.policy}, seed {options.seed}",
        flush=True,
    )
    recorder, violations = asyncio.run(run(options))
    if violations:
        print(show_violations(violations))
    print(show(recorder.counts, recorder.record, violations))
    return 1 if violations else 0


def _options() -> Options:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=180.0, help="of trouble (180)")
    parser.add_argument("--clients", type=int, default=500, help="connections (500)")
    parser.add_argument("--seed", type=int, default=1, help="which run of all (1)")
    parser.add_argument("--policy", default="many", help="the servers' policy (many)")
    given = parser.parse_args()
    return Options(given.seconds, given.clients, given.seed, given.policy)


if __name__ == "__main__":
    sys.exit(main())
