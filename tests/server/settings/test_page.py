"""
`config_page.py`: the page of all settings.
"""

import re
import tomllib
from dataclasses import fields
from pathlib import Path

from keystay_server.settings.config import Config
from keystay_server.settings.page import page
from keystay_server.settings.sources import load
from tests.support.paths import ROOT


def test_the_page_is_what_the_schema_says() -> None:
    """`make configuration` writes it anew."""
    assert (ROOT / "docs/reference/configuration.md").read_text() == page() + "\n"


def test_every_setting_has_one_row() -> None:
    """In the order of the schema, whatever section it is in."""
    rows = re.findall(r"^\| `(\w+)` \|", page(), re.MULTILINE)
    assert rows == [setting.name for setting in fields(Config)]


def test_its_example_is_a_file_that_works(tmp_path: Path) -> None:
    """The TOML on the page is read, and each of its settings is set."""
    [example] = re.findall(r"```toml\n(.*?)```", page(), re.DOTALL)
    file = tmp_path / "keystay.toml"
    file.write_text(example)
    config = load({}, str(file), {})
    for name, value in tomllib.loads(example).items():
        assert getattr(config, name) == (tuple(value) if isinstance(value, list) else value)
