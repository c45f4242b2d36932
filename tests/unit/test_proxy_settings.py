"""HTTPS_PROXY and its kin as they are found in environments."""

import json

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from sdktest.rows import each_row

from entrypoints.config.loading import load
from entrypoints.config.masking import shown
from entrypoints.config.misspelled import misspelled
from entrypoints.config.settings import ProxySettings, ServeSettings, TracingSettings
from entrypoints.config.settings.catalogue import known_names
from entrypoints.config.sources import ConfigurationError
from entrypoints.observability.tracing.sdk import _exporter
from support import commands
from support.egress import egress
from support.web import NO_FILE, environment

LOOPBACK = "localhost,127.0.0.1,::1"


def settings(**variables):
    return load(ProxySettings, environment=variables, env_file=NO_FILE)


@each_row(
    ("written", "used"),
    [
        ("http://proxy.example:3128", "http://proxy.example:3128"),
        ("http://proxy.example:3128/", "http://proxy.example:3128"),
        ("proxy.example:3128", "http://proxy.example:3128"),
        ("HTTP://proxy.example", "http://proxy.example"),
        ("https://proxy.example:443", "https://proxy.example:443"),
        ("http://10.0.0.1:3128", "http://10.0.0.1:3128"),
        ("http://[fd00::1]:3128", "http://[fd00::1]:3128"),
        ("http://user:pa%40ss@proxy.example:3128", "http://user:pa%40ss@proxy.example:3128"),
        ("http://user:p@ss@proxy.example:3128", "http://user:p%40ss@proxy.example:3128"),
        ("http://DOMAIN\\user:pass@proxy.example:3128", "http://DOMAIN%5Cuser:pass@proxy.example:3128"),
        ('"http://proxy.example:3128"', "http://proxy.example:3128"),
        ("http://proxy.example:3128\r\n", "http://proxy.example:3128"),
    ],
)
def test_a_proxy_is_taken_as_people_write_it(written, used):
    assert settings(HTTPS_PROXY=written).environment["HTTPS_PROXY"] == used


@each_row(
    ("variable", "written", "told"),
    [
        ("HTTPS_PROXY", "socks5://hunter2@proxy.example:1080", "a SOCKS proxy"),
        ("ALL_PROXY", "socks5h://hunter2:1080", "a SOCKS proxy"),
        ("HTTPS_PROXY", "ftp://hunter2.example", "not the URL of an HTTP proxy"),
        ("HTTPS_PROXY", "http://", "not the URL of an HTTP proxy"),
        ("HTTPS_PROXY", "http://u:hunter2@proxy.example:port", "not a URL"),
        ("HTTPS_PROXY", "http://u:hunter2@proxy.example:99999", "not a URL"),
        ("HTTPS_PROXY", "http://u:hun/ter2@proxy.example:1", "not a URL"),
        ("HTTPS_PROXY", "http://u:hunter2#x@proxy.example:1", "not a URL"),
        ("HTTPS_PROXY", "http://proxy.example:1/hunter2", "more than host and port"),
        ("HTTPS_PROXY", "http://hunter2 example:1", "the host in it is none"),
        ("HTTPS_PROXY", "http://hunter2..example:1", "not a URL"),
        ("HTTPS_PROXY", f"http://hunter2{'h' * 60}.example:1", "not a URL"),
        ("NO_PROXY", "example.org;hunter2", "not a host, a domain or an address"),
        ("NO_PROXY", "https://hunter2.example", "not a host, a domain or an address"),
        ("NO_PROXY", "hunter2.example/8", "not an address before the /"),
    ],
)
def test_a_proxy_that_cannot_be_used_is_refused_by_name_and_not_repeated(variable, written, told):
    with pytest.raises(ConfigurationError) as refused:
        settings(**{variable: written})
    (problem,) = refused.value.problems

    assert problem.variable == variable
    assert told in problem.what
    assert "hunter2" not in str(refused.value)


def test_what_is_asked_directly_is_written_as_every_client_reads_it():
    found = settings(
        HTTP_PROXY="http://p:1", NO_PROXY="*.svc, [::1], 10.0.0.0/8, fe80::/10,host:8080,.a.example,"
    ).environment

    assert found["NO_PROXY"] == found["no_proxy"] == ".svc,::1,10.0.0.0/8,host:8080,.a.example,localhost,127.0.0.1"
    assert settings(NO_PROXY="a.example").environment == {}


def test_lower_case_goes_first_and_reaches_every_client():
    found = settings(HTTPS_PROXY="http://upper:1", https_proxy="http://lower:1").environment

    assert found == {
        "HTTPS_PROXY": "http://lower:1",
        "https_proxy": "http://lower:1",
        "NO_PROXY": LOOPBACK,
        "no_proxy": LOOPBACK,
    }


def test_a_password_is_not_shown():
    found = settings(HTTPS_PROXY="http://user:hunter2@proxy.example:3128").https_proxy

    assert "hunter2" not in f"{found!r} {found} {shown(found)}"
    assert shown(found).startswith("http://user:*******@proxy.example:3128")


def test_proxies_of_other_programs_are_not_suspected():
    assert [*misspelled(["FTP_PROXY", "RSYNC_PROXY", "ftp_proxy"], known_names())] == []


def test_a_file_of_variables_may_name_the_proxy(tmp_path):
    (tmp_path / ".env").write_text("HTTPS_PROXY=http://proxy.example:3128\n")
    (tmp_path / "proxy").write_text("http://user:pass@proxy.example:3128\n")
    named = environment(HTTPS_PROXY_FILE=str(tmp_path / "proxy"))

    assert load(ProxySettings, environment={}, env_file=tmp_path / ".env").https_proxy
    assert load(ServeSettings, environment=named, env_file=NO_FILE).proxies.environment["https_proxy"].endswith("3128")


def test_traces_go_through_the_proxy_and_never_on_loopback(tmp_path, monkeypatch):
    with egress(tmp_path, 1) as out:
        for name in ("HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy"):
            monkeypatch.setenv(name, "")
        settings(HTTP_PROXY=out.url).export()
        for endpoint in ("http://collector.test:4318", "http://127.0.0.1:1"):
            monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
            monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
            exporter = _exporter(
                load(TracingSettings, environment={"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}, env_file=NO_FILE)
            )
            provider = TracerProvider(shutdown_on_exit=False)
            provider.add_span_processor(SimpleSpanProcessor(exporter))
            with provider.get_tracer("test").start_as_current_span("asked"):
                pass
            provider.shutdown()

    assert set(out.asked) == {"http://collector.test:4318/v1/traces"}


def doctor(folder, **variables):
    return commands.run("doctor", "--json", env=variables, cwd=folder)


def test_doctor_says_that_the_proxy_refuses_and_what_to_do(tmp_path):
    with egress(tmp_path, 1) as out:
        wrong = out.url.replace("egress", "nobody")
        ended = doctor(tmp_path, HTTPS_PROXY=wrong, CLERK_PUBLISHABLE_KEY="pk_test_Y2xlcmsuZXhhbXBsZS5jb20k")
    found = {finding["check"]: finding for finding in json.loads(ended.stdout)}

    assert ended.returncode == 1
    assert "proxy refused (407)" in found["signing keys"]["says"]
    assert "HTTPS_PROXY" in found["signing keys"]["advice"]
    assert "p%40ss" not in ended.stdout + ended.stderr
    assert out.asked == ["clerk.example.com:443"]


def test_serve_ends_with_78_for_a_proxy_that_cannot_be_used(tmp_path):
    ended = commands.run("serve", env=environment(https_proxy="socks5://u:hunter2@p:1"), cwd=tmp_path)

    assert ended.returncode == 78
    assert "HTTPS_PROXY: a SOCKS proxy" in ended.stderr
    assert "hunter2" not in ended.stderr
