"""
Checks of the servers of a Redis store.
"""

from collections.abc import Mapping

from keystay_server.cli.doctor.findings import Finding
from keystay_server.stores.diagnosis import Diagnosis

NOTABLE_SKEW_MS, GREAT_SKEW_MS = 500.0, 30_000.0


def judge(server: Diagnosis) -> list[Finding]:
    """Return all findings about one server."""
    if server.problem is not None:
        advice = "check the store's URL (rediss:// is TLS), the server, its firewall, its log"
        return [Finding("store", "bad", f"{server.where}: {server.problem}", advice)]
    findings = [Finding("store", "good", f"{server.where} can be reached")]
    findings.append(_judge_clock(server.ahead_ms))
    if server.settings is None:
        advice = (
            "allow +config|get to its user, or check maxmemory-policy noeviction "
            "and appendonly yes yourself"
        )
        findings.append(
            Finding("store settings", "doubtful", "CONFIG GET is not allowed", advice)
        )
        return findings
    return [*findings, _judge_eviction(server.settings), _judge_persistence(server.settings)]


def _judge_clock(ahead_ms: float) -> Finding:
    word = "ahead of" if ahead_ms > 0 else "behind"
    found = f"this machine is {abs(ahead_ms):.0f} ms {word} the store"
    if abs(ahead_ms) < NOTABLE_SKEW_MS:
        return Finding("clock", "good", found)
    advice = (
        "synchronize both clocks (NTP): sessions expire by the store's clock, "
        "JWTs and the propagation metric use this one"
    )
    return Finding(
        "clock", "bad" if abs(ahead_ms) > GREAT_SKEW_MS else "doubtful", found, advice
    )


def _judge_eviction(settings: Mapping[str, str]) -> Finding:
    policy = settings.get("maxmemory-policy", "unknown")
    found = f"maxmemory-policy is {policy}"
    if policy == "noeviction":
        return Finding("eviction", "good", found)
    advice = "set it to noeviction: any other policy deletes sessions when memory is full"
    return Finding("eviction", "bad", found, advice)


def _judge_persistence(settings: Mapping[str, str]) -> Finding:
    about, fsync = "persistence", settings.get("appendfsync", "unknown")
    if settings.get("appendonly") != "yes":
        kept = "snapshots only" if settings.get("save") else "nothing is kept"
        advice = "set appendonly yes: sessions are lost when the store restarts"
        return Finding(about, "bad", f"appendonly is off, {kept}", advice)
    found = f"appendonly with appendfsync {fsync}"
    if fsync == "no":
        advice = "set appendfsync everysec or always: half a minute of writes may be lost"
        return Finding(about, "doubtful", found, advice)
    if fsync == "everysec":
        return Finding(about, "good", f"{found}: a crash of the store may lose a second")
    return Finding(about, "good", found)
