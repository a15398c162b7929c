"""
What is raised for a setting that is wrong.
"""

from keystay_server.settings.suggestions import did_you_mean


class ConfigError(Exception):
    """
    A setting is wrong. The text is one line with its name and its source.

    Args:
        setting: Its name, or the name of what has to change instead, such as a variable.
        what: What is wrong with it.
        source: Where it was set, if known.
        nearest: The name that was probably meant.
    """

    def __init__(
        self,
        setting: str,
        what: str,
        *,
        source: str | None = None,
        nearest: str | None = None,
    ) -> None:
        super().__init__(setting, what)
        self.setting = setting
        self.what = what
        self.source = source
        self.nearest = nearest

    def __str__(self) -> str:
        where = "" if self.source is None else f", in {self.source}"
        return f"{self.setting}: {self.what}{where}{did_you_mean(self.nearest)}"

    def to_document(self) -> dict[str, str | None]:
        """The error as JSON output has it."""
        return {
            "error": str(self),
            "setting": self.setting,
            "source": self.source,
            "nearest": self.nearest,
        }
