"""`auth-service doctor` where little or nothing is configured."""

import json
import os

import pytest
from sdktest.rows import each_row

from application.doctor.findings import not_checked
from entrypoints.cli.doctor import command as doctor_module
from entrypoints.cli.doctor.configuration import managing_findings, token_findings
from entrypoints.cli.main import main
from entrypoints.config.clerk_values import publishable_key
from entrypoints.config.service_keys import service_key
from entrypoints.config.settings import ManagementSettings, TokenSettings
from support.authority import Authority
from support.web import PUBLISHABLE_KEY, SECRET


@pytest.fixture
def doctor(tmp_path, monkeypatch, capsys):
    def run(*arguments: str, **variables: str):
        for name in [*os.environ]:
            if name not in ("PATH", "HOME", "TMPDIR", "PYTEST_CURRENT_TEST"):
                monkeypatch.delenv(name)
        # Nobody answers there.
        for name, value in {"PORT": "1", **variables}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(tmp_path)
        with pytest.raises(SystemExit) as stop:
            main(["doctor", "--json", *arguments])
        return stop.value.code, json.loads(capsys.readouterr().out)

    return run


def severities(found):
    return {(finding["check"], finding["severity"]): finding for finding in found}


def test_without_anything_it_says_what_is_missing_and_what_was_not_checked(doctor):
    code, found = doctor()
    by_severity = severities(found)

    assert code
    assert by_severity["configuration", "failure"]["says"] == "DATABASE_URL: missing"
    for check in ("kafka", "webhook secret", "clerk secret key", "session tokens"):
        assert by_severity[check, "warning"]["says"].startswith("not checked: ")
        assert by_severity[check, "warning"]["advice"]


def test_what_is_wrong_names_its_entry_in_the_documentation(doctor, capsys):
    _, found = doctor(AUTH_SERVICE_ORGANIZATIONS="*")
    with pytest.raises(SystemExit):
        main(["doctor"])
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()[1:]]

    assert severities(found)["managing users", "warning"]["runbook"] == "docs/operations.md#who-may-manage-users"
    assert {each["runbook"] for each in found if each["severity"] == "ok"} == {""}
    assert [(row[0], row[3]) for row in rows] == [
        (each["check"], f"{each['advice']}; see {each['runbook']}" if each["runbook"] else "") for each in found
    ]


def test_all_that_is_wrong_is_told_and_the_rest_is_still_looked_at(doctor):
    code, found = doctor(
        DATABASE_URL="postgresql://x@127.0.0.1:1/x",
        PORT="x",
        CLERK_WEBHOOK_SECRET=f"{SECRET},whsec_hunter2",
        KAFKA_SECURITY_PROTOCOL="SASL_SSL",
        CLERK_SECRET_KEY_FILE="/nowhere",
    )
    wrong = {finding["says"].partition(":")[0] for finding in found if finding["check"] == "configuration"}
    by_severity = severities(found)

    assert code
    assert wrong == {
        "PORT",
        "CLERK_WEBHOOK_SECRET",
        "CLERK_SECRET_KEY_FILE",
        "KAFKA_BOOTSTRAP_SERVERS",
        "KAFKA_SASL_MECHANISM",
        "KAFKA_SASL_USERNAME",
        "KAFKA_SASL_PASSWORD",
    }
    assert "entry 2: " in json.dumps(found)
    assert by_severity["database", "failure"]["says"].startswith("PostgreSQL: out of reach")
    assert "hunter2" not in json.dumps(found)


@each_row(
    ("variables", "variable", "says"),
    [
        (
            {"CLERK_SECRET_KEY": "sk_live_0123456789abcdefghij", "CLERK_PUBLISHABLE_KEY": PUBLISHABLE_KEY},
            "CLERK_PUBLISHABLE_KEY",
            "of a test instance, and CLERK_SECRET_KEY of a live one; take both from one instance",
        ),
        (
            {"CLERK_SECRET_KEY": "sk_live_0123456789abcdefghij", "CLERK_ISSUER": "https://clerk.example.test"},
            "CLERK_ISSUER",
            "a test host (*.test) beside a live key",
        ),
    ],
)
def test_what_serve_refuses_about_two_groups_together_is_told_once(doctor, variables, variable, says):
    _, found = doctor(**variables, CLERK_API_URL="http://127.0.0.1:1")

    assert [
        finding["says"]
        for finding in found
        if finding["severity"] == "failure" and finding["check"] != "signing keys" and variable in json.dumps(finding)
    ] == [f"{variable}: {says}"]


def test_it_says_who_may_manage_users(doctor):
    _, closed = doctor()
    _, some = doctor(AUTH_SERVICE_ORGANIZATIONS="org_ours", AUTH_SERVICE_KEYS=f"billing:read:{'0' * 64}")
    _, opened = doctor(AUTH_SERVICE_ORGANIZATIONS="*", AUTH_SERVICE_KEYS=f"billing:{'0' * 64}")

    def of_managing(found):
        return [(each["severity"], each["says"]) for each in found if each["check"] == "managing users"]

    assert [severity for severity, _ in of_managing(closed) + of_managing(some)] == ["ok", "ok"]
    assert "AUTH_SERVICE_ORGANIZATIONS is not set" in of_managing(closed)[0][1]
    assert [severity for severity, _ in of_managing(opened)] == ["warning", "warning"]
    assert "billing" in of_managing(opened)[1][1]


KEY, PARTIES = publishable_key(PUBLISHABLE_KEY), ("https://app.example.com",)


@each_row(
    ("tokens", "expected"),
    [
        (TokenSettings(clerk_publishable_key=KEY, clerk_authorized_parties=PARTIES), []),
        (TokenSettings(clerk_issuer="https://proxy.example", clerk_authorized_parties=PARTIES), []),
        (
            TokenSettings(
                clerk_publishable_key=KEY, clerk_issuer="https://proxy.example", clerk_authorized_parties=PARTIES
            ),
            ["token issuer"],
        ),
        (TokenSettings(clerk_authorized_parties=PARTIES), ["token issuer"]),
        (TokenSettings(clerk_publishable_key=KEY), ["authorized parties"]),
    ],
)
def test_tokens_that_are_accepted_beyond_what_is_needed_are_found(tokens, expected):
    found = [*token_findings(tokens)]

    assert [finding.check for finding in found] == expected
    assert all(finding.severity == "warning" and finding.advice for finding in found)


@each_row("variable", ["CLERK_PUBLISHABLE_KEY", "CLERK_SECRET_KEY"])
def test_a_key_that_is_wrong_is_not_told_as_not_set(doctor, variable):
    _, found = doctor(**{variable: "nonsense"})

    assert [finding["says"].partition(":")[0] for finding in found if variable in finding["says"]] == [variable]


@each_row(
    ("organizations", "keys", "expected"),
    [
        ((), (), []),
        (("org_a", "org_b"), (), []),
        (("*",), (), ["warning"]),
        ((), ("billing:read", "support:ban+unban"), []),
        ((), ("billing:read", "support:*"), ["warning"]),
        (("*",), ("billing:*",), ["warning", "warning"]),
    ],
)
def test_who_may_manage_more_than_is_needed_is_found(organizations, keys, expected):
    management = ManagementSettings(
        auth_service_organizations=organizations,
        auth_service_keys=tuple(service_key(f"{key}:{'0' * 64}") for key in keys),
    )
    found = [*managing_findings(management)]

    assert [finding.severity for finding in found if finding.severity != "ok"] == expected
    assert all(finding.advice for finding in found if finding.severity != "ok")
    assert found[0].check == "managing users"


def test_a_name_that_is_nearly_ours_is_told(doctor):
    _, found = doctor(CLERK_WEBHOOK_SECRETS=SECRET)

    assert any("is CLERK_WEBHOOK_SECRET meant?" in finding["says"] for finding in found)


def test_an_env_file_that_cannot_be_read_is_a_finding(doctor, tmp_path):
    (tmp_path / ".env").write_bytes(b"\xff")
    code, found = doctor()

    assert code
    assert found[0]["says"].startswith(".env: cannot be read")


def test_a_finding_without_advice_shows_its_entry_alone(capsys):
    doctor_module._print_table([not_checked("clerk", "Clerk: no answer in time")])

    assert capsys.readouterr().out.endswith("\tdocs/runbooks.md#meerrors\n")


async def test_a_check_that_fails_by_a_bug_or_takes_for_ever_hides_no_other():
    async def broken():
        raise ZeroDivisionError

    async def endless():
        await doctor_module.asyncio.sleep(60)

    assert "ZeroDivisionError" in str((await doctor_module._ask("x", broken)).failure)
    assert str((await doctor_module._ask("x", endless, limit_s=0.01)).failure) == "x: no answer in time (0.01 s)"


@each_row(("days", "severity"), [(20, "ok"), (3, "warning")])
def test_a_client_certificate_that_should_have_been_renewed_is_told(doctor, tmp_path, days, severity):
    pair = Authority(tmp_path).issue("relay", days=days)
    _, found = doctor(
        KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1",
        KAFKA_SECURITY_PROTOCOL="SSL",
        KAFKA_SSL_CERT_FILE=str(pair.certificate),
        KAFKA_SSL_KEY_FILE=str(pair.key),
    )
    [finding] = [finding for finding in found if finding["check"] == "client certificate"]

    assert finding["severity"] == severity
    assert finding["says"].startswith("KAFKA_SSL_CERT_FILE: valid until ")
    assert ("renew it" in finding["advice"]) == (severity == "warning")
