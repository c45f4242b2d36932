"""`docker-compose.yml` gives each process the variables that its command reads, and no secret of another one."""

from pathlib import Path

import pytest
import yaml
from attrs import fields
from sdktest.rows import each_row

from devkit.settings import ClerkStandInSettings
from entrypoints.config.made_up import INSTANCE
from entrypoints.config.settings import (
    ClerkApiSettings,
    DatabaseSettings,
    KafkaSettings,
    LogSettings,
    ManagementSettings,
    TokenSettings,
    WebhookSettings,
)
from entrypoints.config.settings.catalogue import all_variables

SERVICES = yaml.safe_load((Path(__file__).parents[2] / "docker-compose.yml").read_text())["services"]
OURS = {name: service for name, service in SERVICES.items() if service.get("image", "").startswith("auth-service-dev:")}
BESIDE = {
    "serve": {"WEB_CONCURRENCY"},
    "relay": {"PORT"},  # the image's health check asks there
    "clerk-stand-in": {
        variable.name for variable in all_variables() if variable.group in (DatabaseSettings, KafkaSettings)
    },  # its console watches them where they are configured
}
SETTABLE = {
    "serve": (WebhookSettings, TokenSettings, ClerkApiSettings, ManagementSettings, LogSettings),
    "relay": (LogSettings,),
}
"""Groups that a `.env` may set: PostgreSQL and Kafka are the stack's own."""


def environment(service):
    in_file = {f"{variable.name}_FILE": variable.name for variable in all_variables() if variable.in_file}
    return {in_file.get(name, name): value for name, value in OURS[service]["environment"].items()}


@each_row("service", OURS)
def test_a_process_gets_only_what_its_command_reads(service):
    command = OURS[service]["command"][0]
    names = {name for name in environment(service) if not name.startswith("OTEL_") or command == "migrate"}

    assert "env_file" not in OURS[service]
    if command == "dev-keys":
        assert all(f"${{{name}" in value and ":+set}" in value for name, value in environment(service).items())
    else:
        of_stand_in = {field.type for field in fields(ClerkStandInSettings)} if command == "clerk-stand-in" else set()
        read = {
            variable.name
            for variable in all_variables()
            if command in variable.commands or variable.group in of_stand_in
        }
        assert names <= read | BESIDE.get(service, set())


@pytest.mark.parametrize("service", SETTABLE)
def test_whatever_a_file_may_set_of_it_reaches_the_process(service):
    wanted = [variable for variable in all_variables() if variable.group in SETTABLE[service]]
    given = OURS[service]["environment"]

    assert {variable.name for variable in wanted} <= given.keys()
    assert {f"{variable.name}_FILE" for variable in wanted if variable.in_file} <= given.keys()


def test_whether_an_instance_is_configured_is_looked_for_under_every_name():
    in_file = {variable.name for variable in all_variables() if variable.in_file}
    names = INSTANCE | {f"{name}_FILE" for name in INSTANCE & in_file}

    assert set(OURS["dev-keys"]["environment"]) == names
    assert all(f"${{{name}:+" in OURS["clerk-stand-in"]["profiles"][0] for name in names)


def test_made_up_keys_are_mounted_only_where_clerk_is_asked_or_played():
    mounted = {name for name, service in OURS.items() if service.get("volumes")}

    assert mounted == {"serve", "dev-keys", "dev-keys-of-clerk-stand-in", "clerk-stand-in"}
