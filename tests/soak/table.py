"""
The counts of a run, for people.
"""

from collections import Counter
from collections.abc import Sequence

from tests.soak.record import Record
from tests.soak.violations import Violation

SHOWN = 40
"""Violations of one kind that are listed; the others are counted."""


def show(counts: Counter[str], record: Record, violations: Sequence[Violation]) -> str:
    """Put into lines what happened, and what was wrong."""
    rows = sorted(counts.items())
    entries = [entry for entries in record.history.values() for entry in entries]
    kinds = Counter(entry.kind for entry in entries)
    rows += sorted((f"history: {kind}", count) for kind, count in kinds.items())
    rows.append(("sessions live in the end", sum(map(len, record.live.values()))))
    rows.append(("violations", len(violations)))
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {count:>9,}" for name, count in rows)


def show_violations(violations: Sequence[Violation]) -> str:
    """List the violations, the most of one kind last."""
    lines: list[str] = []
    for kind, count in Counter(violation.kind for violation in violations).most_common()[::-1]:
        of_kind = [str(violation) for violation in violations if violation.kind is kind]
        lines += of_kind[:SHOWN]
        if count > SHOWN:
            lines.append(f"{kind}: {count - SHOWN} more")
    return "\n".join(lines)
