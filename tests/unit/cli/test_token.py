import base64

import pytest

from anomalyze_auth import PemKey, Reason, SessionVerifier, TokenRejected
from devkit.local.keys import new_keys, public_half
from entrypoints.cli.main import main
from support.clerk_stand_in import running_stand_in


def token(*arguments):
    """Run the command and return its exit status or message."""
    with pytest.raises(SystemExit) as stop:
        main(["token", *arguments])
    return stop.value.code


def verifier(keys, **rules):
    return SessionVerifier(PemKey(public_half(keys.private_key)), issuer="http://localhost/dev", **rules)


async def test_the_output_is_a_token_that_the_service_of_dev_takes(keys, capsys):
    token("--user", "user_grace", "--org", "org_Navy")

    printed = capsys.readouterr()
    identity = await verifier(keys).verify(printed.out.removesuffix("\n"))
    assert identity.user_id == "user_grace"
    assert (identity.organization.id, identity.organization.role) == ("org_Navy", "org:admin")
    assert printed.err == ""


async def test_permissions_are_those_that_were_named(keys, capsys):
    named = ["org:users:manage", "org:billing:read", "org:billing:manage"]
    token("--org", "org_Navy", *(argument for name in named for argument in ("--permission", name)))

    identity = await verifier(keys).verify(capsys.readouterr().out.strip())
    assert identity.organization.permissions == set(named)


@pytest.mark.parametrize(
    "arguments", [["--permission", "org:users:manage"], ["--org", "org_Navy", "--permission", "users:manage"]]
)
def test_a_permission_without_an_organisation_or_of_another_form_is_refused(keys, capsys, arguments):
    assert token(*arguments) == 2
    shown = capsys.readouterr()
    assert shown.err.startswith("--permission: ")
    assert shown.out == ""


async def test_the_first_authorized_party_is_the_tokens_own(keys, capsys, monkeypatch):
    parties = ("http://localhost:5173", "http://localhost:8080")
    monkeypatch.setenv("CLERK_AUTHORIZED_PARTIES", ",".join(parties))

    token()

    identity = await verifier(keys, authorized_parties=parties[:1]).verify(capsys.readouterr().out.strip())
    assert identity.user_id == "user_ada"


async def test_an_expired_token_can_be_had(keys, capsys):
    token("--lifetime=-60")

    with pytest.raises(TokenRejected) as rejected:
        await verifier(keys).verify(capsys.readouterr().out.strip())

    assert rejected.value.reason is Reason.TOKEN_EXPIRED


def test_without_a_dev_there_is_no_key(folder, capsys):
    assert token() == 78
    assert "Or start `auth-service dev`" in capsys.readouterr().err


def test_beside_a_deployed_service_there_is_no_key(folder, monkeypatch, capsys):
    monkeypatch.setenv("CLERK_JWT_KEY", new_keys().environment["CLERK_JWT_KEY"])

    assert token() == 78
    said = capsys.readouterr()
    assert "There is no key to sign with" in said.err
    assert said.out == ""


def test_a_key_of_another_instance_is_not_signed_against(keys, monkeypatch, capsys):
    monkeypatch.setenv("CLERK_JWT_KEY", new_keys().environment["CLERK_JWT_KEY"])

    assert token() == 78
    said = capsys.readouterr()
    assert "CLERK_JWT_KEY is not the public key of" in said.err
    assert said.out == ""


def test_tokens_of_a_clerk_instance_are_not_made_here(keys, monkeypatch, capsys):
    host = base64.b64encode(b"clerk.example.com$").decode()
    monkeypatch.setenv("CLERK_PUBLISHABLE_KEY", f"pk_test_{host}")

    assert token() == 78
    said = capsys.readouterr()
    assert "only Clerk can sign with those" in said.err
    assert said.out == ""


def test_a_damaged_key_file_is_named(keys, folder, capsys):
    (folder / "var/dev/session-key.pem").write_text("-----BEGIN PRIVATE KEY-----\nnonsense")

    assert token() == 74
    assert "var/dev/session-key.pem cannot be used" in capsys.readouterr().err


def test_what_is_no_user_id_is_refused(keys, capsys):
    assert token("--user", "ada") == 2
    assert capsys.readouterr().err.startswith("--user ada: not a Clerk user id")


def test_a_user_whom_the_stand_in_does_not_know_gets_a_token_and_that_is_said(keys, monkeypatch, capsys):
    with running_stand_in() as clerk:
        clerk.instance.create("user_known")
        monkeypatch.setenv("CLERK_SECRET_KEY", clerk.secret_key)
        monkeypatch.setenv("CLERK_API_URL", clerk.url)
        for name, value in {**keys.environment, "CLERK_ISSUER": clerk.url}.items():
            monkeypatch.setenv(name, value)
        shown = {}
        for user in ("user_known", "user_never"):
            with pytest.raises(SystemExit) as stop:
                main(["token", "--user", user])
            assert stop.value.code in (0, None)
            shown[user] = capsys.readouterr()

    assert all(read.out.count(".") == 2 for read in shown.values())
    assert shown["user_known"].err == ""
    assert "has no user user_never: /v1/me will answer 404" in shown["user_never"].err
