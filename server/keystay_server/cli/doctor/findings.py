"""
What a check found.
"""

from dataclasses import dataclass
from typing import Any, Literal

Level = Literal["good", "doubtful", "bad"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `advice` says what to do, unless it is good."""

    about: str
    level: Level
    found: str
    advice: str = ""

    def to_document(self) -> dict[str, Any]:
        """For programs."""
        return {
            "about": self.about,
            "level": self.level,
            "found": self.found,
            "advice": self.advice,
        }
