"""
`deploy/grafana/keystay.json`: the dashboard shows metrics that there are.
"""

import json
import re
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from keystay_server.gateway.commands import COMMANDS
from keystay_server.gateway.login.token_refusals import TokenRefusals
from keystay_server.gateway.refusals import RefusalRecorder
from keystay_server.stores import open_store
from keystay_server.stores.observed import observed
from keystay_server.stores.retention import Retention
from keystay_server.telemetry.catalogue import METRICS
from keystay_server.telemetry.counts import Counts
from keystay_server.telemetry.metrics import Build, Metrics
from keystay_server.telemetry.operations import Meter
from tests.support.deploy.files import text

DASHBOARD: dict[str, Any] = json.loads(text("grafana/keystay.json"))
PANELS: list[dict[str, Any]] = [
    panel for panel in DASHBOARD["panels"] if panel["type"] != "row"
]
EXPRESSIONS: list[str] = [target["expr"] for panel in PANELS for target in panel["targets"]]
QUERIES: list[str] = [
    variable["definition"]
    for variable in DASHBOARD["templating"]["list"]
    if variable["type"] == "query"
]

ROW_FIELDS = {"type", "id", "title", "collapsed", "gridPos", "panels"}
PANEL_FIELDS = {
    *("type", "id", "title", "description", "gridPos"),
    *("datasource", "targets", "options", "fieldConfig"),
}
"""Of those in Grafana's schema, which is closed, what the dashboard needs."""


def exposed() -> set[str]:
    """The names of all samples that a node exposes."""
    counts = Counts()
    counts.know(COMMANDS)
    RefusalRecorder(counts)
    TokenRefusals(counts)
    observed(open_store("memory://", Retention()), Meter(counts.operations))
    families = text_string_to_metric_families(
        Metrics(counts, Build("1", "memory")).exposed().decode()
    )
    return {sample.name for family in families for sample in family.samples}


def test_every_expression_is_about_metrics_that_there_are() -> None:
    """A metric that is renamed leaves no empty panel behind."""
    known = exposed()
    for expression in (*EXPRESSIONS, *QUERIES):
        names = re.findall(r"\b(?:keystay|process)_\w+", expression)
        assert names, expression
        assert set(names) <= known, expression


def test_every_metric_is_shown() -> None:
    """What is worth counting is worth a look."""
    shown = " ".join(EXPRESSIONS)
    assert [metric.name for metric in METRICS if metric.name not in shown] == []


def test_every_label_in_an_expression_is_one_of_its_metric() -> None:
    """Beside those that Prometheus adds."""
    labels = {metric.name: {*metric.labels, "job", "instance"} for metric in METRICS}
    for expression in EXPRESSIONS:
        for name, selector in re.findall(r"\b(keystay_\w+)\{([^}]*)\}", expression):
            base = re.sub(r"_(bucket|count|sum)$", "", name)
            assert set(re.findall(r'(\w+)\s*[!=]~?"', selector)) <= labels[base], expression
            for group in re.findall(r"by \(([^)]*)\)", expression):
                assert set(re.findall(r"\w+", group)) <= labels[base] | {"le"}, expression


def test_brackets_are_closed() -> None:
    """Each expression is whole, and rates are over an interval that Grafana chooses."""
    for expression in EXPRESSIONS:
        for opening, closing in ("()", "{}", "[]"):
            assert expression.count(opening) == expression.count(closing), expression
        assert expression.count("rate(") == expression.count("[$__rate_interval]")


def test_panels_have_their_place_and_say_what_they_show() -> None:
    """No two overlap, each has an id of its own, a title, a unit and a description."""
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (place["x"] + x, place["y"] + y)
            for x in range(place["w"])
            for y in range(place["h"])
        }
        assert not cells & taken, panel["title"]
        assert all(x < 24 for x, _ in cells)
        taken |= cells
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    for panel in PANELS:
        assert panel["title"]
        assert panel["description"]
        assert panel["fieldConfig"]["defaults"]["unit"]


def test_it_has_the_fields_that_grafana_reads() -> None:
    """Its schema knows no others; every query has a letter, and every variable is declared."""
    for panel in DASHBOARD["panels"]:
        assert panel.keys() <= (ROW_FIELDS if panel["type"] == "row" else PANEL_FIELDS)
        assert panel["type"] in ("row", "stat", "timeseries")
    for panel in PANELS:
        letters = [target["refId"] for target in panel["targets"]]
        assert len(set(letters)) == len(letters)
        assert {target["datasource"]["uid"] for target in panel["targets"]} == {"${datasource}"}
    declared = {variable["name"] for variable in DASHBOARD["templating"]["list"]}
    used = set(re.findall(r"\$\{?(\w+)", json.dumps([EXPRESSIONS, QUERIES])))
    assert used <= declared | {"__rate_interval"}
    assert DASHBOARD["schemaVersion"] >= 36
    assert re.fullmatch(r"[\w-]{1,40}", DASHBOARD["uid"])


def test_it_belongs_to_no_installation() -> None:
    """Data source, job and node are chosen where it is imported."""
    names = [variable["name"] for variable in DASHBOARD["templating"]["list"]]
    assert names == ["datasource", "job", "instance"]
    assert {panel["datasource"]["uid"] for panel in PANELS} == {"${datasource}"}
    assert "id" not in DASHBOARD
