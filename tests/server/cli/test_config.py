"""
`keystay config ...`: what a server would run with.
"""

import json
from dataclasses import fields
from pathlib import Path

import pytest

from keystay_server.cli.main import main
from keystay_server.settings.config import Config
from tests.support.server.shell import keystay, on_terminal


def settings(output: str) -> dict[str, tuple[object, str]]:
    """The document of `config show --json`, by setting."""
    document = json.loads(output)
    return {each["name"]: (each["value"], each["source"]) for each in document["settings"]}


def test_every_setting_tells_where_it_is_from(tmp_path: Path) -> None:
    """A default, a line of the file, a variable, or a flag: the one that wins."""
    (tmp_path / "keystay.toml").write_text(
        '# ttl_s = 1\nttl_s = 60\n\n  "history_s" = 5\norigins = ["https://a.example"]\n'
        "max_age_s = 1\nmax_in_flight = 1\n"
    )
    done = keystay(
        *("config", "show", "--json", "--config", "keystay.toml", "--max-in-flight", "9"),
        env={"KEYSTAY_MAX_AGE_S": "90", "KEYSTAY_MAX_IN_FLIGHT": "8"},
        cwd=tmp_path,
    )
    assert (done.returncode, done.stderr) == (0, "")
    shown = settings(done.stdout)
    assert list(shown) == [setting.name for setting in fields(Config)]
    assert shown["ttl_s"] == (60.0, "keystay.toml:2")
    assert shown["history_s"] == (5.0, "keystay.toml:4")
    assert shown["origins"] == (["https://a.example"], "keystay.toml:5")
    assert shown["max_age_s"] == (90.0, "KEYSTAY_MAX_AGE_S")
    assert shown["max_in_flight"] == (9, "--max-in-flight")
    assert shown["listen"] == (Config().listen, "default")


async def test_secrets_are_masked() -> None:
    """The store's password is shown to nobody: in text, in JSON, on a terminal."""
    env = {"KEYSTAY_STORE": "redis://user:hunter2@host", "KEYSTAY_API_KEY": "hunter2"}
    for flags in ((), ("--json",)):
        done = keystay("config", "show", *flags, env=env)
        assert "redis://user:***@host" in done.stdout
        assert "hunter2" not in done.stdout + done.stderr
    said = await on_terminal("config", "show", env=env)
    assert "redis://user:***@host" in said
    assert "hunter2" not in said


def test_a_valid_file_exits_with_0(tmp_path: Path) -> None:
    """The environment is not read."""
    file = tmp_path / "keystay.toml"
    file.write_text('ttl_s = 60\npolicy = "single"\n')
    done = keystay("config", "check", str(file), env={"KEYSTAY_TTL_S": "soon"})
    assert (done.returncode, done.stdout) == (0, f"{file} is valid: 2 settings\n")
    done = keystay("config", "check", str(file), "--json", env={})
    assert json.loads(done.stdout) == {"file": str(file), "settings": 2, "ok": True}


def test_help_names_what_is_not_checked() -> None:
    """Files and servers that settings name are checked by `keystay doctor`."""
    said = " ".join(keystay("config", "check", "--help", env={}).stdout.split())
    assert "does not check the files and servers that settings name: keystay doctor" in said


@pytest.mark.parametrize(
    "command", [("config", "check"), ("config", "show", "--config"), ("doctor", "--config")]
)
def test_errors_are_json_for_programs(tmp_path: Path, command: tuple[str, ...]) -> None:
    """With `--json` a wrong setting is the answer: a document on standard output, and 2."""
    file = tmp_path / "keystay.toml"
    file.write_text("\ntll_s = 1")
    done = keystay(*command, str(file), "--json", env={})
    assert (done.returncode, done.stderr) == (2, "")
    assert json.loads(done.stdout) == {
        "ok": False,
        "error": f"tll_s: no such setting, in {file}:2; did you mean ttl_s?",
        "setting": "tll_s",
        "source": f"{file}:2",
        "nearest": "ttl_s",
    }


def test_unknown_members_of_an_error_are_null(tmp_path: Path) -> None:
    """A file that is not there has no line, and nothing that was meant."""
    done = keystay("config", "check", "nowhere.toml", "--json", env={}, cwd=tmp_path)
    assert done.returncode == 2
    assert json.loads(done.stdout) == {
        "ok": False,
        "error": "config: nowhere.toml: No such file or directory",
        "setting": "config",
        "source": None,
        "nearest": None,
    }


@pytest.mark.parametrize(
    ("words", "error", "nearest"),
    [
        (
            ("config", "show", "--json", "--ttls", "3"),
            "--ttls: no such flag; did you mean --ttl-s?",
            "--ttl-s",
        ),
        (("doctor", "--json", "hunter2"), "1 word too many", None),
        (
            ("config", "check", "--json"),
            "the following arguments are required: FILE",
            None,
        ),
    ],
)
def test_wrong_arguments_are_json_for_programs(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], error: str, nearest: str | None
) -> None:
    """A misspelt flag, a word too many or too few is a document too."""
    with pytest.raises(SystemExit) as ended:
        main(words)
    said, log = capsys.readouterr()
    assert (ended.value.code, log) == (2, "")
    assert json.loads(said) == {
        "ok": False,
        "error": error,
        "setting": None,
        "source": None,
        "nearest": nearest,
    }


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("\ntll_s = 1", "tll_s: no such setting, in FILE:2; did you mean ttl_s?"),
        ("ttl_s = true", "ttl_s: must be a number of seconds, in FILE:1"),
        ('\n\npolicy = "few"', "policy: must be many, single, limit:N or deny:N, in FILE:3"),
        ('control = "0.0.0.0:1"', "control: 0.0.0.0 can be reached from other machines"),
        ("[limits]\nmax_connections = 1", "limits: no such setting, in FILE:1"),
        ("ttl_s =", "config: FILE: not TOML: "),
    ],
)
def test_what_is_wrong_with_a_file_is_one_line_and_2(
    tmp_path: Path, text: str, why: str
) -> None:
    """The setting, its place, and the name that was meant."""
    file = tmp_path / "keystay.toml"
    file.write_text(text)
    done = keystay("config", "check", str(file), env={})
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("keystay: " + why.replace("FILE", str(file)))
    assert done.stderr.count("\n") == 1
