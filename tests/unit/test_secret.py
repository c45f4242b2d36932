"""Secrets that nobody prints by accident, and what may be shown of them."""

import copy
import json
import logging
import pickle
import traceback

import msgspec
import pytest
from attrs import asdict
from rich.console import Console
from sdktest.rows import each_row

from entrypoints.config.loading import load
from entrypoints.config.masking import shown
from entrypoints.config.secret import Secret
from entrypoints.config.service_keys import service_key
from entrypoints.config.settings import RelaySettings, ServeSettings
from entrypoints.config.settings.catalogue import all_variables
from entrypoints.config.sources import ConfigurationError, SourceValue, look_up
from entrypoints.observability.logging import _as_json
from support.web import NO_FILE, PUBLISHABLE_KEY

HIDDEN = "hunter2hunter2hunter2hunter2"
WHSEC = "whsec_aHVudGVyMmh1bnRlcjJodW50ZXIyaHVudGVyMg=="
SECRETS = {
    "DATABASE_URL": f"postgresql://auth:{HIDDEN}@db.example:5432/auth",
    "CLERK_WEBHOOK_SECRET": f"{WHSEC},{WHSEC[:-2]}",
    "CLERK_SECRET_KEY": f"sk_test_{HIDDEN}",
    "KAFKA_SASL_PASSWORD": HIDDEN,
}
REST = {
    "CLERK_PUBLISHABLE_KEY": PUBLISHABLE_KEY,
    "KAFKA_BOOTSTRAP_SERVERS": "localhost:9092",
    "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
    "KAFKA_SASL_MECHANISM": "PLAIN",
    "KAFKA_SASL_USERNAME": "auth-service",
}


def settings():
    return [load(kind, environment={**SECRETS, **REST}, env_file=NO_FILE) for kind in (ServeSettings, RelaySettings)]


def leaks(text: str) -> bool:
    return any(part in text for part in (HIDDEN, WHSEC[6:30]))


def as_json(value):
    return json.dumps(value, default=str)


def as_log_line(value):
    return _as_json(None, "info", {"event": "x", "settings": value})


def fail_with(value):
    raise ValueError(value)


def as_traceback(value):
    try:
        fail_with(value)
    except ValueError:
        return traceback.format_exc()


def as_rich_traceback(value):
    console = Console(width=200, record=True, file=open("/dev/null", "w"))  # noqa: PTH123, SIM115
    try:
        fail_with(value)
    except ValueError:
        console.print_exception(show_locals=True)
    with console.file:
        return console.export_text()


def as_record(value):
    return logging.LogRecord("x", 20, "x", 1, "%s and %r", (value, value), None).getMessage()


@each_row(
    "write",
    [repr, str, "{}".format, "{!r}".format, as_json, as_log_line, as_traceback, as_rich_traceback, as_record, asdict],
)
def test_no_way_to_write_settings_down_shows_a_secret(write):
    for value in settings():
        assert not leaks(str(write(value)))


@each_row("write", [repr, str, "{}".format, "{!r}".format, as_json, as_log_line, as_traceback])
@each_row("value", [HIDDEN, (HIDDEN, HIDDEN)])
def test_no_way_to_write_a_secret_down_shows_it(write, value):
    assert not leaks(write(Secret(value)))


def test_a_secret_is_not_encoded_or_pickled():
    for write in (pickle.dumps, json.dumps, msgspec.json.encode, "{:>40}".format):
        with pytest.raises(TypeError) as caught:
            write(Secret(HIDDEN))

        assert not leaks(str(caught.value))
    with pytest.raises(TypeError):
        pickle.dumps(settings()[0])


def test_a_copy_of_a_secret_is_the_secret():
    secret = Secret(HIDDEN)

    assert copy.copy(secret) is copy.deepcopy(secret) is secret
    assert copy.deepcopy(secret).get_secret_value() == HIDDEN


def test_of_each_secret_enough_is_shown_to_recognise_it_and_no_more():
    found = {name: SourceValue(text, "environment") for name, text in {**SECRETS, **REST}.items()}
    values = {
        variable.name: shown(variable.parse(look_up(variable.name, found, in_file=False).text))
        for variable in all_variables()
        if variable.name in found
    }

    assert values["DATABASE_URL"] == "postgresql://auth:*******@db.example:5432/auth"
    assert values["CLERK_WEBHOOK_SECRET"] == "whsec_*******, whsec_*******"
    assert values["CLERK_SECRET_KEY"] == "sk_test_*******"
    assert values["KAFKA_SASL_PASSWORD"] == "*******"
    assert values["KAFKA_SASL_USERNAME"] == "auth-service"
    assert not any(leaks(value) for value in values.values())


@each_row(
    "url",
    [
        f"postgresql://u:{HIDDEN}@h/db",
        f"postgresql://u:x@{HIDDEN}@h/db",
        f"postgresql://u:1/{HIDDEN}@h/db",
        f"postgresql://u:1?{HIDDEN}@h/db?dbname=x",
        f"postgresql://u:1#{HIDDEN}@h/db",
        f"postgresql://h/db?user=u&password={HIDDEN}",
        f"postgresql:///db?host=/run&sslpassword={HIDDEN}",
    ],
)
def test_a_password_that_nobody_escaped_is_not_shown_either(url):
    assert not leaks(shown(Secret(url)))


def test_of_several_hosts_all_are_shown():
    assert shown(Secret(f"postgresql://u:{HIDDEN}@h1:5432,[::1]/db")) == "postgresql://u:*******@h1:5432,[::1]/db"


def test_of_a_service_key_the_name_is_shown():
    key = service_key(f"billing:{'ab' * 32}")

    assert shown((key,)) == "billing:*******"


def test_the_error_of_a_wrong_secret_holds_none_of_the_others():
    with pytest.raises(ConfigurationError) as caught:
        load(ServeSettings, environment={**SECRETS, **REST, "PORT": "x"}, env_file=NO_FILE)

    assert not leaks("".join(traceback.format_exception(caught.value)))
