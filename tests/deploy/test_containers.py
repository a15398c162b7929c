"""
`deploy/Dockerfile` and `deploy/compose.yaml`. Linted, never built here.
"""

import json
import re
from typing import Any

import yaml

from keystay_server.settings.addresses import parse_address
from keystay_server.settings.config import Config
from tests.support.deploy.files import (
    BACKENDS,
    CLIENTS,
    config_from,
    drained_after_s,
    seconds,
    text,
)
from tests.support.paths import ROOT

DOCKERFILE = text("Dockerfile").replace("\\\n", " ")
STEPS: list[tuple[str, str]] = re.findall(r"^([A-Z]+) +(.*)$", DOCKERFILE, re.MULTILINE)
COMPOSE: dict[str, Any] = yaml.safe_load(text("compose.yaml"))
SERVICES: dict[str, Any] = COMPOSE["services"]
NODES = {name: each for name, each in SERVICES.items() if name != "valkey"}


def step(name: str) -> list[str]:
    """What the instruction is given, each time."""
    return [words for each, words in STEPS if each == name]


def variables() -> dict[str, str]:
    """Our variables in the image."""
    found = re.findall(r"(KEYSTAY_\w+)=(\S+)", " ".join(step("ENV")))
    return dict(found)


def test_the_image_has_two_stages_and_no_root() -> None:
    """What builds is not in what runs, and what runs has no rights."""
    assert step("FROM") == ["python:3.12-slim AS build", "python:3.12-slim"]
    assert step("USER") == ["10001"]
    after_user = DOCKERFILE.split("\nUSER ")[1]
    assert "\nRUN " not in after_user


def test_the_image_is_made_of_what_is_pinned() -> None:
    """With hashes, and only of files that are there and not left out of the context."""
    assert any("--require-hashes -r constraints/server.txt" in run for run in step("RUN"))
    let_in = re.findall(r"^!(\S+)$", text("Dockerfile.dockerignore"), re.MULTILINE)
    copied = [
        source
        for words in step("COPY")
        if not words.startswith("--from")
        for source in words.split()[:-1]
    ]
    assert sorted(copied) == sorted(let_in)
    for source in copied:
        assert (ROOT / source).exists(), source


def test_the_image_has_all_that_the_package_is_built_of() -> None:
    """Readme, licence and packages, as pyproject.toml names them."""
    copied = " ".join(step("COPY"))
    project = (ROOT / "pyproject.toml").read_text()
    [packages] = re.findall(r"^packages = \[(.*)\]", project, re.MULTILINE)
    for package in re.findall(r'"([^"/]+)/', packages):
        assert package in copied
    for name in ("README.md", "LICENSE"):
        assert name in copied


def test_the_image_listens_where_it_says() -> None:
    """Its variables are settings, and its ports those of the settings."""
    config = config_from(variables())
    assert parse_address("listen", config.listen) == ("0.0.0.0", CLIENTS)
    assert parse_address("control", config.control) == ("0.0.0.0", BACKENDS)
    assert step("EXPOSE") == [f"{CLIENTS} {BACKENDS}"]
    assert (step("ENTRYPOINT"), step("CMD")) == (['["keystay"]'], ['["serve"]'])


def test_the_image_knows_whether_it_is_alive() -> None:
    """By a request to itself, with nothing but Python."""
    [check] = step("HEALTHCHECK")
    command = json.loads(check.partition("CMD ")[2])
    compile(command[2], "healthcheck", "exec")
    assert command[:2] == ["python", "-c"]
    assert f"'127.0.0.1', {BACKENDS}" in command[2]
    assert "/livez" in command[2]


def test_two_nodes_share_a_store() -> None:
    """Their variables are settings, and the store is the service beside them."""
    assert len(NODES) == 2
    for node in NODES.values():
        environment = {**variables(), **node["environment"]}
        assert environment.pop("KEYSTAY_API_KEY").startswith("${KEYSTAY_API_KEY:?")
        assert config_from(environment).store == "redis://valkey:6379/0"
        assert node["depends_on"] == {"valkey": {"condition": "service_healthy"}}
    assert "healthcheck" in SERVICES["valkey"]


def test_the_store_is_one_the_doctor_is_content_with() -> None:
    """It keeps what was answered, and evicts nothing."""
    command = SERVICES["valkey"]["command"]
    assert "--appendonly yes" in command
    assert "--maxmemory-policy noeviction" in command
    assert SERVICES["valkey"]["volumes"] == ["valkey:/data"]
    assert "valkey" in COMPOSE["volumes"]


def test_only_clients_come_from_other_machines() -> None:
    """Ports of backends are published on this machine only, and no port twice."""
    published = [port for node in NODES.values() for port in node["ports"]]
    for port in published:
        host, inside = port.rpartition(":")[::2]
        assert inside in (str(CLIENTS), str(BACKENDS))
        assert host.startswith("127.0.0.1:") is (inside == str(BACKENDS))
    hosts = [port.rpartition(":")[0].rpartition(":")[2] for port in published]
    assert len(set(hosts)) == len(hosts)


def test_there_is_time_to_drain() -> None:
    """A node is not killed before its last command is finished."""
    for node in NODES.values():
        assert seconds(node["stop_grace_period"]) > drained_after_s(Config())


def test_files_are_found_from_where_they_are_named() -> None:
    """The context of the build is the root of the repository."""
    for node in NODES.values():
        context = (ROOT / "deploy" / node["build"]["context"]).resolve()
        assert context == ROOT
        assert (context / node["build"]["dockerfile"]).exists()
