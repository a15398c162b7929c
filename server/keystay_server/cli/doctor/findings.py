"""
The result of a check.
"""

from dataclasses import dataclass
from typing import Any, Literal

Level = Literal["good", "doubtful", "bad"]


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check. `advice` says what to do, unless the level is good."""

    about: str
    level: Level
    found: str
    advice: str = ""

    def to_document(self) -> dict[str, Any]:
        """Return the finding as JSON output has it."""
        return {
            "about": self.about,
            "level": self.level,
            "found": self.found,
            "advice": self.advice,
        }
