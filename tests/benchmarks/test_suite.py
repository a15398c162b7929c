"""
Facts about the run of all benchmarks, and what is made of its results.

No figure is asserted: the machine that runs tests is busy with other things.
"""

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks import commands, events, growth, handshakes, idle, propagation, stored
from benchmarks.document import Document, read
from benchmarks.goals import Goal, goals
from benchmarks.markdown import page_of, with_measured
from benchmarks.plots import plots
from benchmarks.publish import KEPT, published
from benchmarks.report import Report
from benchmarks.suite import PAGE, RESULTS, Plan, run

SVG = "{http://www.w3.org/2000/svg}"


def tiny() -> Plan:
    """A few connections, a moment each."""
    return Plan(
        commands=commands.Sizes(
            connections=2, commands=32, warm_up=8, rounds=1, stores=("memory",)
        ),
        events=events.Sizes(connections=3, events=1, rounds=1),
        handshakes=handshakes.Sizes(clients=2, rounds=1, stores=("memory",)),
        growth=growth.Sizes(
            connections=(2, 3), asking=2, commands=8, rounds=1, stores=("memory",)
        ),
        idle=idle.Sizes(connections=2, warm_up=1, rounds=1, stores=("memory",), idle_s=0.1),
        stored=stored.Sizes(sessions=100, warm_up=1, stores=("sqlite",)),
        propagation=propagation.Sizes(
            connections=(2,), logouts=2, expiring=2, within_ms=0, returning=2, rounds=1
        ),
    )


@pytest.fixture(autouse=True)
def _all_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine runs other tests meanwhile."""
    monkeypatch.setattr("benchmarks.servers.os.sched_setaffinity", lambda *_: None)


@pytest.fixture
def kept() -> Document:
    """The results that the documentation shows."""
    return read(KEPT)


@pytest.mark.long
def test_a_run_writes_results_a_page_and_plots(tmp_path: Path) -> None:
    """One run of everything, with the date, the machine and the versions."""
    document = run(tiny(), tmp_path)
    assert read(tmp_path / RESULTS) == document
    assert set(document.reports) == set(tiny().benchmarks())
    assert {"cpu", "python", "valkey"} <= set(document.machine)
    page = (tmp_path / PAGE).read_text()
    assert all(f"## {measured.title}\n\n| " in page for measured in document.reports.values())
    assert {file.name for file in tmp_path.glob("*.svg")} == set(plots(document))


@pytest.mark.long
def test_one_benchmark_can_be_run_again(tmp_path: Path) -> None:
    """The other results are kept."""
    before = run(tiny(), tmp_path, only=["growth", "stored"])
    after = run(tiny(), tmp_path, only=["stored"])
    assert set(after.reports) == {"growth", "stored"}
    assert after.reports["growth"] == before.reports["growth"]


def test_a_benchmark_that_fails_leaves_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run takes minutes: it does not end without results."""
    plan = replace(tiny(), events=events.Sizes(peers=(), stores=()))
    assert set(run(plan, tmp_path, only=["events"]).reports) == set()
    assert "events ... failed" in capsys.readouterr().err


def test_the_documentation_shows_the_results_that_are_kept(kept: Document) -> None:
    """`python -m benchmarks.publish` was run after the last change of either."""
    assert [
        str(file) for file, text in published(kept).items() if file.read_text() != text
    ] == []


def test_plots_can_be_read_on_a_light_and_on_a_dark_page(kept: Document) -> None:
    """Each is an SVG with a title, and no label is outside of it."""
    assert plots(kept)
    for text in plots(kept).values():
        assert "prefers-color-scheme: dark" in text
        svg = ElementTree.fromstring(text)
        assert svg.tag == f"{SVG}svg"
        assert svg.findtext(f"{SVG}title")
        height = float(svg.attrib["height"])
        assert all(0 < float(each.attrib["y"]) < height for each in svg.iter(f"{SVG}text"))


def test_tables_have_as_many_cells_in_each_row(kept: Document) -> None:
    """So they are tables for every reader of Markdown."""
    tables = page_of(kept).split("\n\n")
    rows = [table.splitlines() for table in tables if table.startswith("|")]
    assert len(rows) == len(kept.reports) + 2
    assert all(len({row.count("|") for row in table}) == 1 for table in rows)


def test_a_goal_without_its_peer_is_not_judged() -> None:
    """It has a line all the same."""
    lines = with_measured("<!-- measured: goals -->\n<!-- end -->", Document()).splitlines()
    assert len(lines) == len(goals()) + 6
    assert all(line.endswith("| - | - |") for line in lines[4:-2])


def test_a_goal_is_a_least_or_a_most() -> None:
    """Speeds are the former, costs the latter."""
    cost = Goal("work", "", 2.0, lambda _: None)
    speed = Goal("work", "", 2.0, lambda _: None, at_least=True)
    assert [goal.is_met(2.5) for goal in (cost, speed)] == [False, True]
    assert [goal.goal() for goal in (cost, speed)] == ["at most 2 x", "at least 2 x"]


def test_a_ratio_is_the_median_of_the_rounds() -> None:
    """Noise that lasts a round is in both."""
    document = Document()
    results = [
        commands.Result("session.isValid", server, 1, 2.0, 1.0, 3.0, 1.0, 1.0, rounds)
        for server, rounds in (("memory", [2.0, 20.0, 6.0]), ("bare asyncio", [1.0, 10.0, 2.0]))
    ]
    document.add("commands", Report("", {}, results), date="", seconds=1, load=0)
    assert goals()[0].figure(document) == 2.0
