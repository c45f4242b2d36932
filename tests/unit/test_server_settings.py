"""Where `serve` listens, and with how many workers."""

import pytest
from sdktest.rows import each_row

from entrypoints.config.loading import load
from entrypoints.config.settings import ServeSettings
from unit.test_settings import SERVE, refused, serve


@each_row(
    ("text", "host"),
    [
        ("localhost", "localhost"),
        ("db_1.internal", "db_1.internal"),
        ("127.1", "127.1"),
        ("::", "::"),
        ("[::1]", "::1"),
        ("0:0:0:0:0:0:0:1", "::1"),
        ("", "127.0.0.1"),
        ("  ", "127.0.0.1"),
    ],
)
def test_a_host_is_an_address_in_any_form_or_a_name(text, host):
    assert serve(HOST=text).http.host == host


@each_row(
    "text",
    [
        "localhost:3002",
        "[::1]:3002",
        "[localhost]",
        "::1]",
        "http://localhost",
        "*",
        "two hosts",
        "a,b",
        "fe80::1%lo",
        "a..b",
        "a" * 64,
        "a." * 127 + "a",
        "bücher.example",
        ".",
    ],
)
def test_what_is_no_host_is_refused_by_name(text):
    problems, message = refused(ServeSettings, {**SERVE, "HOST": text})

    assert list(problems) == ["HOST"]
    assert "for example HOST=127.0.0.1" in message


@pytest.mark.parametrize(("text", "workers"), [("2", 2), ("", 1), (" ", 1), ("256", 256)])
def test_the_number_of_workers_is_a_setting_like_others(tmp_path, text, workers):
    file = tmp_path / ".env"
    file.write_text(f"WEB_CONCURRENCY={text}\n")

    assert serve(WEB_CONCURRENCY=text).http.web_concurrency == workers
    assert load(ServeSettings, environment=SERVE, env_file=file).http.web_concurrency == workers


@each_row("text", ["0", "-1", "two", "1.5", "auto", "257", "1e1", "٢", "9" * 5000])
def test_a_wrong_number_of_workers_is_refused_by_name(text):
    problems, _ = refused(ServeSettings, {**SERVE, "WEB_CONCURRENCY": text})

    assert list(problems) == ["WEB_CONCURRENCY"]
