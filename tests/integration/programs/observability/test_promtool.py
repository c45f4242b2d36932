"""What Prometheus' own tool says of the files in deploy/observability."""

import json
import subprocess
from pathlib import Path

import pytest
import yaml

pytestmark = pytest.mark.programs

FOLDER = Path(__file__).parents[4] / "deploy/observability"


def promtool(*arguments):
    return subprocess.run(
        ["promtool", *map(str, arguments)], cwd=FOLDER, capture_output=True, text=True, timeout=60, check=False
    )


def test_the_configuration_and_the_alert_rules_are_valid():
    checked = promtool("check", "config", "prometheus.yml")

    assert checked.returncode == 0, checked.stderr
    assert "rules found" in checked.stdout


def test_the_alerts_fire_when_they_should_and_not_otherwise():
    tested = promtool("test", "rules", "alerts_test.yml")

    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_every_question_of_the_dashboard_can_be_asked(tmp_path):
    dashboard = json.loads((FOLDER / "grafana/dashboards/auth-service.json").read_text())
    questions = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    rules = [
        {"record": f"panel:{number}", "expr": question.replace("$__rate_interval", "5m")}
        for number, question in enumerate(questions)
    ]
    file = tmp_path / "questions.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    checked = promtool("check", "rules", file)

    assert len(questions) >= 40
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert f"{len(questions)} rules found" in checked.stdout
