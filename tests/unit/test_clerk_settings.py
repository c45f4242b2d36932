"""Clerk's variables: what follows from which, and what goes together."""

import base64

import pytest

from entrypoints.config.loading import load
from entrypoints.config.settings import ServeSettings
from entrypoints.config.sources import ConfigurationError
from support.web import ISSUER, NO_FILE, PUBLISHABLE_KEY, SECRET

SERVE = {
    "DATABASE_URL": "postgresql://auth@localhost:5432/auth",
    "CLERK_WEBHOOK_SECRET": SECRET,
    "CLERK_PUBLISHABLE_KEY": PUBLISHABLE_KEY,
}


def serve(**changes):
    return load(ServeSettings, environment={**SERVE, **changes}, env_file=NO_FILE)


def test_several_webhook_secrets_may_be_given_while_rotating():
    other = "whsec_" + "b3RoZXIh" * 4
    secrets = serve(CLERK_WEBHOOK_SECRET=f"{SECRET}, {other},").webhooks.clerk_webhook_secret

    assert [key.written for key in secrets.get_secret_value()] == [SECRET, other]


def test_issuer_and_jwks_url_follow_from_the_publishable_key():
    tokens = serve().tokens

    assert tokens.issuer == ISSUER
    assert tokens.jwks_url == f"{ISSUER}/.well-known/jwks.json"


def test_a_publishable_key_without_padding_is_taken():
    unpadded = "pk_live_" + base64.b64encode(b"clerk.acme.io$").decode().rstrip("=")

    assert serve(CLERK_PUBLISHABLE_KEY=unpadded).tokens.issuer == "https://clerk.acme.io"


def test_what_is_said_outright_goes_before_what_follows():
    tokens = serve(CLERK_ISSUER="https://proxy.example/clerk/", CLERK_JWKS_URL="https://keys.example/jwks").tokens

    assert (tokens.issuer, tokens.jwks_url) == ("https://proxy.example/clerk", "https://keys.example/jwks")


def test_authorized_parties_are_origins_as_browsers_send_them():
    spelled = "https://App.Example.com:443/, http://localhost:5173, capacitor://localhost, https://bücher.example"
    parties = serve(CLERK_AUTHORIZED_PARTIES=spelled).tokens.clerk_authorized_parties

    assert parties == (
        "https://app.example.com",
        "http://localhost:5173",
        "capacitor://localhost",
        "https://xn--bcher-kva.example",
    )


@pytest.mark.parametrize("url", ["http://localhost:3004", "http://127.0.0.1:3004", "http://[::1]:3004"])
def test_plain_http_is_taken_on_this_machine(url):
    there = {"CLERK_API_URL": url, "CLERK_JWKS_URL": f"{url}/jwks", "CLERK_ISSUER": url}
    settings = serve(**there, CLERK_PUBLISHABLE_KEY="", CLERK_SECRET_KEY="sk_test_1")

    assert (settings.clerk_api.clerk_api_url, settings.tokens.jwks_url) == (url, f"{url}/jwks")


@pytest.mark.parametrize("written", ["", "/", "/v1", "/v1/"])
def test_the_backend_api_may_be_written_with_or_without_its_version(written):
    api = serve(CLERK_API_URL=f"https://clerk-api.example.com{written}").clerk_api

    assert api.clerk_api_url == "https://clerk-api.example.com"
    assert api.keys_url == "https://clerk-api.example.com/v1/jwks"


LIVE_KEY = "pk_live_" + base64.b64encode(b"clerk.acme.io$").decode()


@pytest.mark.parametrize("variable", ["CLERK_API_URL", "CLERK_JWKS_URL", "CLERK_ISSUER"])
def test_plain_http_is_taken_between_test_hosts_and_never_beside_a_live_key(variable):
    api = {"CLERK_API_URL": "http://clerk-stand-in.test:3004", "CLERK_PUBLISHABLE_KEY": ""}
    there = {**api, "CLERK_JWKS_URL": f"{ISSUER}/jwks", variable: "http://clerk-stand-in.test:3004/jwks"}

    assert serve(**there, CLERK_SECRET_KEY="sk_test_1")
    for live in ({"CLERK_SECRET_KEY": "sk_live_1"}, {"CLERK_PUBLISHABLE_KEY": LIVE_KEY}):
        with pytest.raises(ConfigurationError, match=f"{variable}: a test host"):
            serve(**there | live)
