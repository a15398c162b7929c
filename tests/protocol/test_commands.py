"""The names of the commands."""

import re
from collections.abc import Callable

from keystay_protocol.commands import CommandName, LogoutScope


def test_every_command_has_its_section_and_the_reverse(section: Callable[[int], str]) -> None:
    """SPEC section 3 describes each command under a heading of its own, and no other."""
    described = re.findall(r"^### 3\.\d+ `([a-z]+\.\w+)`", section(3), re.MULTILINE)
    assert described == list(CommandName)


def test_the_scopes_are_those_of_the_spec(section: Callable[[int], str]) -> None:
    """A logout has the three scopes that SPEC section 3.6 names, `this` before all."""
    text = section(3).partition("`options.scope`")[2].partition("\n\n")[0]
    assert re.findall(r"`(\w+)`", text) == list(LogoutScope)
    assert next(iter(LogoutScope)) is LogoutScope.THIS


def test_a_name_is_the_text_on_the_wire() -> None:
    """A command's name can be used wherever a string can."""
    assert f"{CommandName.NOW}" == "time.now"
    assert "session.isValid" in {str(name) for name in CommandName}
    assert {"session.isValid": 1}[CommandName.IS_VALID] == 1
