"""
The wire as an AsyncAPI document: `protocol/asyncapi.json`.
"""

import json
import subprocess
from typing import Any

import jsonschema_rs
import pytest

from keystay_server.gateway.asyncapi import document, message_name, page
from keystay_server.gateway.commands import COMMANDS
from tests.support.end_to_end.js_drivers import needed, node
from tests.support.paths import ROOT

FILE = ROOT / "protocol/asyncapi.json"
PARSER = ROOT / "tests/support/asyncapi"


def frames(file: str) -> list[tuple[str, Any]]:
    """The frames of a file of vectors: what each is called, and its JSON form."""
    vectors = json.loads((ROOT / "protocol/vectors" / file).read_text())["vectors"]
    found = []
    for vector in vectors:
        match vector["frame"]:
            case {"type": "command", "id": id_, "method": method, "params": params}:
                found.append((vector["name"], [0, id_, method, params]))
            case {"type": "reply", "id": id_, "error": error, "result": result}:
                found.append((vector["name"], [1, id_, error, result]))
            case {"type": "event", "name": name, "data": data, "cursor": cursor}:
                found.append((vector["name"], [2, name, [data, cursor]]))
    assert found
    return found


def validator(message: str) -> Any:
    """What checks the payload of a message."""
    described = document()
    payload = described["components"]["messages"][message]["payload"]
    schema = {**payload, "components": described["components"]}
    return jsonschema_rs.validator_for(
        {"$schema": "http://json-schema.org/draft-07/schema#", **schema}
    )


def test_the_file_is_what_the_command_table_says() -> None:
    """A command that is added is in the document too: `make asyncapi`."""
    assert FILE.read_text() == page()


def test_the_parser_of_asyncapi_accepts_it() -> None:
    """Neither errors nor warnings."""
    needed((PARSER / "node_modules").exists(), "install the parser: make test")
    checked = subprocess.run(
        [node(), str(PARSER / "check.mjs")], input=FILE.read_bytes(), capture_output=True
    )
    assert (checked.returncode, checked.stdout.decode().strip()) == (
        0,
        f"{len(COMMANDS) + 1} operations",
    ), checked.stderr.decode()


@pytest.mark.parametrize(("name", "frame"), frames("commands.json"), ids=str)
def test_it_describes_every_command_of_the_vectors(name: str, frame: list[Any]) -> None:
    """Whatever SPEC shows as a command is one by the document."""
    if frame[2] in COMMANDS and "wrong type" not in name:
        validator(message_name(frame[2])).validate(frame)


@pytest.mark.parametrize(("name", "frame"), frames("events.json"), ids=str)
def test_it_describes_every_event_of_the_vectors(name: str, frame: list[Any]) -> None:
    """The protocol's own by name, all others as a backend's."""
    named = {"session.set": "sessionSet", "session.unset": "sessionUnset"}
    named["server.draining"] = "serverDraining"
    validator(named.get(frame[1], "applicationEvent")).validate(frame)


@pytest.mark.parametrize(
    ("message", "frame"),
    [
        ("sessionIsValid", [0, 1, "session.isValid", []]),
        ("sessionIsValid", [0, 1, "session.isValid", [7]]),
        ("sessionLogout", [0, 1, "session.logout", [{"scope": "some"}]]),
        ("sessionRestoreReply", [1, 1, None, None]),
        ("sessionSet", [2, "session.set", [{}, None]]),
        ("timeNow", [0, 1, "time.now", [1]]),
    ],
    ids=str,
)
def test_it_refuses_what_is_none(message: str, frame: list[Any]) -> None:
    """The document is no shape that takes everything."""
    assert not validator(message).is_valid(frame)
