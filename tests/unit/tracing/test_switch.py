import os
import subprocess
import sys

import pytest
from sdktest.rows import each_row

from entrypoints.config.loading import load
from entrypoints.config.settings import TracesExporter, TracingSettings
from entrypoints.config.sources import ConfigurationError
from entrypoints.observability.tracing import require_extra
from support.web import NO_FILE, environment

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}
OTLP, CONSOLE = TracesExporter.OTLP, TracesExporter.CONSOLE

IMPORTED = """
import sys
sys.modules["fastapi"] = None  # not in the production image; it imports OpenTelemetry, and others import it
{}
print([name for name, module in sys.modules.items() if name.startswith("opentelemetry") and module is not None])
"""

SERVE = """
from entrypoints.http.app import create_app
create_app()
"""

RELAY = """
import uvloop
from entrypoints.cli.relay import relay
uvloop.run = lambda main: main.close()  # all is made by then
relay()
"""


def settings(**variables):
    return load(TracingSettings, environment=variables, env_file=NO_FILE)


@each_row(
    ("variables", "exporter"),
    [
        ({}, None),
        (ENDPOINT, OTLP),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, OTLP),
        ({"OTEL_TRACES_EXPORTER": "Console"}, CONSOLE),
        ({**ENDPOINT, "OTEL_TRACES_EXPORTER": "console"}, CONSOLE),
        ({**ENDPOINT, "OTEL_TRACES_EXPORTER": "none"}, None),
        ({**ENDPOINT, "OTEL_SDK_DISABLED": "TRUE"}, None),
        ({**ENDPOINT, "OTEL_SDK_DISABLED": "false"}, OTLP),
        ({"OTEL_SERVICE_NAME": "users", "OTEL_TRACES_SAMPLER": "always_on"}, None),
    ],
)
def test_there_are_traces_when_an_endpoint_or_an_exporter_is_named(variables, exporter):
    assert settings(**variables).exporter is exporter


@each_row(
    ("name", "text"),
    [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_TRACES_EXPORTER", "zipkin"),
        ("OTEL_TRACES_SAMPLER", "sometimes"),
        ("OTEL_TRACES_SAMPLER_ARG", "5 %"),
        ("OTEL_TRACES_SAMPLER_ARG", "nan"),
        ("OTEL_SDK_DISABLED", "yes"),
    ],
)
def test_what_the_sdk_would_pass_over_stops_the_start(name, text):
    with pytest.raises(ConfigurationError, match=name):
        settings(**{name: text})


def test_without_the_extra_the_start_stops_only_if_traces_are_asked_for(monkeypatch):
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk", None)
    require_extra(settings())

    with pytest.raises(ConfigurationError, match="OTEL_EXPORTER_OTLP_ENDPOINT: set, and the extra `otel`"):
        require_extra(settings(**ENDPOINT))


@pytest.mark.parametrize("process", [SERVE, RELAY], ids=["serve", "relay"])
def test_a_process_imports_nothing_of_it_unless_asked(process):
    variables = environment(KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1")
    done = subprocess.run(
        [sys.executable, "-c", IMPORTED.format(process)],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path), **variables},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.strip() == "[]"
