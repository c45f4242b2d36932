"""What goes out to Clerk leaves through the configured proxy, all of it, and says so when the proxy refuses."""

import pytest

from adapters.clerk.backend_api import BackendApi
from adapters.clerk.doctor import key_set_of
from anomalyze_auth import JwksKeys, KeysUnavailable
from application.errors import ClerkUnavailableError
from application.failure import Cause
from entrypoints.config.loading import load
from entrypoints.config.settings import ProxySettings
from entrypoints.http.recent_failures import failure_of
from support.asking_clerk import ADA, provider
from support.clerk_stand_in import running_stand_in
from support.egress import PASSWORD, egress
from support.web import NO_FILE

API = "https://api.clerk.test"
KEYS = "https://clerk.example.com/.well-known/jwks.json"
PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture
def clerk():
    with running_stand_in() as running:
        running.instance.create(ADA)
        yield running


@pytest.fixture
def out(clerk, tmp_path, monkeypatch):
    with egress(tmp_path, int(clerk.url.rpartition(":")[2])) as running:
        for name in PROXIES:
            monkeypatch.setenv(name, "")  # undone after the test, with what `use` sets
            monkeypatch.setenv(name.lower(), "")
        monkeypatch.setenv("SSL_CERT_FILE", str(running.certificates))
        yield running


def through(**variables):
    load(ProxySettings, environment=variables, env_file=NO_FILE).export()


async def ask(secret_key, url=API):
    api = BackendApi(secret_key, url)
    try:
        return await provider(api).get(ADA)
    finally:
        await api.aclose()


async def fetch(url=KEYS):
    keys = JwksKeys(url)
    try:
        return await keys.find("ins_local")
    finally:
        await keys.aclose()


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
async def test_the_api_the_keys_and_doctor_go_through_the_proxy(clerk, out, name):
    through(**{name: out.url})

    assert (await ask(clerk.secret_key)).id == ADA
    assert await fetch()
    assert (await key_set_of(KEYS)).status == 200
    assert out.asked == ["api.clerk.test:443", "clerk.example.com:443", "clerk.example.com:443"]


@pytest.mark.parametrize("direct", ["127.0.0.1", "localhost"])
async def test_loopback_is_asked_directly_whatever_the_variables_say(clerk, out, direct):
    through(HTTP_PROXY=out.url, HTTPS_PROXY=out.url, NO_PROXY="example.org")
    url = clerk.url.replace("127.0.0.1", direct)

    assert (await ask(clerk.secret_key, url)).id == ADA
    assert (await key_set_of(f"{url}/.well-known/jwks.json")).status == 200
    assert out.asked == []


@pytest.mark.parametrize(
    "direct", ["clerk.test", ".clerk.test", "*.clerk.test", "[::1],api.clerk.test", "*", "fe80::/10,clerk.test"]
)
async def test_what_no_proxy_names_is_not_asked_of_the_proxy(clerk, out, direct):
    through(HTTPS_PROXY=out.url, NO_PROXY=direct)

    with pytest.raises(ClerkUnavailableError, match=r"out of reach \(ConnectError"):
        await ask(clerk.secret_key)
    assert out.asked == []


@pytest.mark.parametrize("status", [407, 403, 502])
async def test_a_proxy_that_refuses_is_told_by_its_cause_and_without_its_password(clerk, out, status):
    through(HTTPS_PROXY=out.url if status != 407 else out.url.replace("egress", "nobody"))
    out.refuses = status
    with pytest.raises(ClerkUnavailableError) as of_api:
        await ask(clerk.secret_key)
    with pytest.raises(KeysUnavailable) as of_keys:
        await fetch()
    examined = await key_set_of(KEYS)

    assert str(of_api.value) == f"Clerk: proxy refused ({status})"
    assert failure_of(of_api.value).label == "Clerk: proxy refused"
    assert failure_of(of_keys.value).label == "signing keys: proxy refused"
    assert (examined.cause, examined.problem) == (Cause.PROXY, f"proxy refused ({status})")
    for text in (str(of_api.value), str(of_keys.value), examined.problem, str(failure_of(of_keys.value))):
        assert PASSWORD not in text
        assert "p%40ss" not in text


async def test_a_certificate_that_is_not_trusted_is_told_as_tls(clerk, out, monkeypatch):
    monkeypatch.delenv("SSL_CERT_FILE")
    through(HTTPS_PROXY=out.url)
    with pytest.raises(ClerkUnavailableError) as of_api:
        await ask(clerk.secret_key)

    assert failure_of(of_api.value).label == "Clerk: no TLS"
    assert (await key_set_of(KEYS)).cause is Cause.TLS
