"""Metrics, alerts, dashboard and runbooks speak of the same things, and these exist."""

import json
import re
from pathlib import Path

import yaml
from prometheus_client import REGISTRY
from sdktest.rows import each_row

import entrypoints.observability.metrics
import entrypoints.observability.process_metrics
import entrypoints.relay.telemetry
import entrypoints.relay.timed  # noqa: F401  # each of them registers its metrics
from entrypoints.cli.main import COMMANDS

ROOT = Path(__file__).parents[2]
OBSERVABILITY = ROOT / "deploy/observability"
OURS = re.compile(r"\b(?:http|auth|outbox)_[a-z_]+\b")
SUFFIXES = {"counter": ["_total"], "histogram": ["_bucket", "_count", "_sum"], "gauge": [""]}

RULES = [
    rule for group in yaml.safe_load((OBSERVABILITY / "alerts.yml").read_text())["groups"] for rule in group["rules"]
]
DASHBOARD = json.loads((OBSERVABILITY / "grafana/dashboards/auth-service.json").read_text())
RUNBOOKS = (ROOT / "docs/runbooks.md").read_text()
ENTRIES = dict(re.findall(r"^## (\w+)\n\n(.*?)(?=^## |\Z)", RUNBOOKS, re.MULTILINE | re.DOTALL))


def families():
    return [family for family in REGISTRY.collect() if OURS.fullmatch(family.name)]


def documented_name(family):
    return f"{family.name}_total" if family.type == "counter" else family.name


SERIES = {f"{family.name}{suffix}" for family in families() for suffix in SUFFIXES[family.type]}
EXPRESSIONS = [
    *((rule["alert"], rule["expr"]) for rule in RULES),
    *(
        (f"{panel['title']} {target['refId']}", target["expr"])
        for panel in DASHBOARD["panels"]
        for target in panel.get("targets", [])
    ),
]


def test_every_metric_is_documented_with_its_labels_and_nothing_else_is():
    rows = re.findall(r"^\| `([a-z_]+)` \|([^|]*)\|", (ROOT / "docs/metrics.md").read_text(), re.MULTILINE)
    documented = {name: sorted(re.findall(r"`(\w+)`", labels)) for name, labels in rows}
    registered = {
        documented_name(family): sorted(REGISTRY._names_to_collectors[documented_name(family)]._labelnames)
        for family in families()
    }

    assert len(rows) == len(documented)
    assert documented == registered


def test_units_are_base_units_and_counters_say_that_they_are_totals():
    for family in families():
        assert not re.search(r"_(ms|milliseconds|minutes|hours|kb|mb|percent)(_|$)", family.name)
        assert family.documentation.endswith(".")
        assert not family.documentation[0].islower()


@each_row(("where", "expression"), EXPRESSIONS, ids=[where for where, _ in EXPRESSIONS])
def test_alerts_and_dashboard_ask_for_metrics_that_exist(where, expression):
    names = {name for name in re.findall(r"[a-z_:]+", re.sub(r'"[^"]*"', "", expression)) if OURS.fullmatch(name)}

    assert names or "up{" in expression or "ALERTS{" in expression
    assert names - SERIES == set()


def test_the_dashboard_shows_every_metric():
    shown = " ".join(target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", []))

    assert [family.name for family in families() if family.name not in shown] == []


def test_panels_do_not_overlap_and_have_names_of_their_own():
    panels = DASHBOARD["panels"]
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]

    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
    assert len({panel["id"] for panel in panels}) == len({panel["title"] for panel in panels}) == len(panels)


@each_row("rule", RULES, ids=[rule["alert"] for rule in RULES])
def test_each_alert_leads_to_its_entry_in_the_runbooks(rule):
    entry = ENTRIES[rule["alert"]]

    assert rule["annotations"]["runbook"] == f"docs/runbooks.md#{rule['alert'].lower()}"
    assert entry.startswith(f"{rule['labels']['severity'].upper()}. **You see**")
    assert [word for word in ("**It means**", "**Check**", "**Do**") if word not in entry] == []


def test_there_is_no_entry_for_an_alert_that_is_none():
    assert set(ENTRIES) == {rule["alert"] for rule in RULES}


def test_links_between_entries_and_commands_in_them_lead_somewhere():
    assert set(re.findall(r"\(#(\w+)\)", RUNBOOKS)) <= {name.lower() for name in ENTRIES}
    assert set(re.findall(r"`auth-service (\w+)", RUNBOOKS)) <= set(COMMANDS)
    for file in re.findall(r"\]\(([\w/.-]+\.\w+)\)", RUNBOOKS):
        assert (ROOT / "docs" / file).resolve().is_file()


def test_each_alert_is_fired_by_a_test():
    tests = yaml.safe_load((OBSERVABILITY / "alerts_test.yml").read_text())["tests"]
    fired = {
        check["alertname"] for test in tests for check in test.get("alert_rule_test", []) if check.get("exp_alerts")
    }

    assert fired == {rule["alert"] for rule in RULES}
