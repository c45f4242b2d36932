"""Access tokens: fetched once at a time, renewed in time, and what is said when there is none."""

import asyncio
import base64
import json
from collections.abc import Iterator
from urllib.parse import unquote_plus

import pytest
from aiokafka.errors import KafkaError
from hypothesis import given
from hypothesis import strategies as st

from anomalyze_auth.kafka import Credential
from anomalyze_auth.kafka.oauth import ClientCredentials
from anomalyze_auth.kafka.tokens import AccessToken, AccessTokens, TokenFault, TokenUnavailable
from sdktest.jwks_server import Answer, body
from sdktest.token_endpoint import Endpoint, token_endpoint


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with token_endpoint() as found:
        yield found


class Source:
    """Makes tokens that live for 100 s, or fails."""

    def __init__(self) -> None:
        self.asked = 0
        self.now = 1000.0
        self.failing = False
        self.slow = asyncio.Event()
        self.slow.set()

    async def __call__(self) -> AccessToken:
        self.asked += 1
        await self.slow.wait()
        if self.failing:
            raise TokenUnavailable("no", TokenFault.REFUSED)
        return AccessToken(f"token-{self.asked}", 100.0)

    def tokens(self) -> AccessTokens:
        return AccessTokens(self, clock=lambda: self.now)


async def test_many_connections_share_one_fetch_and_one_token():
    source = Source()
    tokens = source.tokens()
    source.slow.clear()
    waiting = [asyncio.create_task(tokens.token()) for _ in range(50)]
    await asyncio.sleep(0)
    waiting[0].cancel()  # whoever gives up takes nothing from the others
    await asyncio.sleep(0)
    source.slow.set()

    assert await asyncio.gather(*waiting[1:]) == ["token-1"] * 49
    assert source.asked == 1


async def test_a_token_is_renewed_before_it_ends():
    source = Source()
    tokens = source.tokens()
    got = []
    for at in (0, 79, 81, 150, 162):
        source.now = 1000.0 + at
        got.append(await tokens.token())

    assert got == ["token-1", "token-1", "token-2", "token-2", "token-3"]


async def test_while_none_can_be_had_the_old_token_serves_to_its_end_and_nobody_asks_all_the_time():
    source = Source()
    tokens = source.tokens()
    await tokens.token()
    source.failing = True
    source.now += 90
    assert [await tokens.token() for _ in range(10)] == ["token-1"] * 10
    assert source.asked == 2
    source.now += 20
    for _ in range(10):
        with pytest.raises(TokenUnavailable):
            await tokens.token()
    assert source.asked == 3
    source.failing = False
    source.now += 2
    assert await tokens.token() == "token-4"


async def test_a_token_that_a_broker_refused_is_not_used_again():
    source = Source()
    tokens = source.tokens()
    await tokens.token()
    tokens.forget()

    assert await tokens.token() == "token-2"


async def test_a_failure_is_one_of_kafka_so_that_its_clients_try_again():
    source = Source()
    source.failing = True

    with pytest.raises(KafkaError, match="no") as caught:
        await source.tokens().token()
    assert isinstance(caught.value, TokenUnavailable)
    assert (caught.value.fault, caught.value.retriable) == (TokenFault.REFUSED, True)


def test_one_object_serves_one_event_loop_after_the_other():
    source = Source()
    tokens = source.tokens()

    assert asyncio.run(tokens.token()) == "token-1"
    source.now += 100
    assert asyncio.run(tokens.token()) == "token-2"


def fetch(endpoint: "Endpoint", secret: str = "s3cret", client_id: str = "me") -> ClientCredentials:
    return ClientCredentials(f"{endpoint.origin}/token?tenant=1", client_id, Credential(secret), scope="a b")


async def test_the_request_is_that_of_rfc_6749(endpoint):
    token = await fetch(endpoint, "p:w+d/%é =", "client:1")()
    [(headers, form)] = endpoint.requests
    kind, _, text = headers["Authorization"].partition(" ")
    client_id, _, secret = base64.b64decode(text).decode().partition(":")

    assert (token.text, token.lifetime_s) == ("t", 60.0)
    assert (kind, unquote_plus(client_id), unquote_plus(secret)) == ("Basic", "client:1", "p:w+d/%é =")
    assert form == {"grant_type": ["client_credentials"], "scope": ["a b"]}
    assert headers["Content-Type"] == "application/x-www-form-urlencoded"


async def test_a_server_that_wants_the_client_in_the_body_gets_it_there(endpoint):
    def in_body_only(headers, form) -> Answer:
        if form.get("client_secret") == ["s3cret"] and "Authorization" not in headers:
            return body(b'{"access_token": "t", "expires_in": "60", "token_type": "bearer"}')
        return body(b'{"error": "invalid_client"}', status=401)

    endpoint.answer = in_body_only
    credentials = fetch(endpoint)

    assert [(await credentials()).text for _ in range(3)] == ["t"] * 3
    assert len(endpoint.requests) == 4  # it is remembered


@pytest.mark.parametrize(
    ("status", "answer", "says", "fault"),
    [
        (401, {"error": "invalid_client"}, "refused, 401 invalid_client", TokenFault.REFUSED),
        (400, {"error": "invalid_scope"}, "refused, 400 invalid_scope", TokenFault.REFUSED),
        (401, "<html>", "refused, 401", TokenFault.REFUSED),
        (400, {"error": "s3cret leaked: s3cret"}, "refused, 400", TokenFault.REFUSED),
        (404, {}, "status 404", TokenFault.UNUSABLE),
        (302, {}, "status 302", TokenFault.UNUSABLE),
        (503, {}, "status 503", TokenFault.OUT_OF_REACH),
        (429, {}, "status 429", TokenFault.OUT_OF_REACH),
        (200, "<html>", "not JSON", TokenFault.UNUSABLE),
        (200, ["t"], "not JSON", TokenFault.UNUSABLE),
        (200, {}, "no access_token", TokenFault.UNUSABLE),
        (200, {"access_token": "a\x01b"}, "no access_token", TokenFault.UNUSABLE),
        (200, {"access_token": 7}, "no access_token", TokenFault.UNUSABLE),
        (200, {"access_token": "t", "token_type": "mac"}, "token_type", TokenFault.UNUSABLE),
        (200, {"access_token": "t", "expires_in": "soon"}, "expires_in", TokenFault.UNUSABLE),
        (200, {"access_token": "t", "expires_in": -1}, "expires_in", TokenFault.UNUSABLE),
        (200, {"access_token": "t" * 70_000}, "more than 65536 bytes", TokenFault.UNUSABLE),
    ],
)
async def test_what_is_no_token_is_told_by_its_cause(endpoint, status, answer, says, fault):
    data = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
    endpoint.answer = lambda *_: body(data, status=status)

    with pytest.raises(TokenUnavailable) as caught:
        await fetch(endpoint)()
    assert str(caught.value).startswith(f"{endpoint.origin}/token: ")
    assert says in str(caught.value)
    assert caught.value.fault is fault
    assert "s3cret" not in str(caught.value)
    assert "tenant" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://127.0.0.1:1/token", "connection refused"),
        ("http://nobody.invalid/token", "name not resolved"),
    ],
)
async def test_an_endpoint_that_is_not_there_is_told_by_its_cause(url, says):
    with pytest.raises(TokenUnavailable, match=says) as caught:
        await ClientCredentials(url, "me", Credential("s3cret"))()
    assert caught.value.fault is TokenFault.OUT_OF_REACH


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
ANSWERS = st.dictionaries(
    st.sampled_from(["access_token", "token_type", "expires_in", "error"]), SCALARS | st.lists(SCALARS, max_size=2)
)


@given(ANSWERS | st.none(), st.just(200) | st.integers(100, 599))
def test_whatever_an_endpoint_answers_is_a_token_or_told(answer, status):
    credentials = ClientCredentials("https://oidc.example.com/token", "me", Credential("s3cret"))
    try:
        token = credentials.read(status, answer)
    except TokenUnavailable as error:
        said = str(error)
    else:
        said = ""
        assert status == 200
        assert token.text.isascii()
        assert token.lifetime_s >= 1
    assert "s3cret" not in said


async def test_an_endpoint_that_takes_for_ever_is_given_up(monkeypatch):
    monkeypatch.setattr("anomalyze_auth.kafka.tokens.FETCH_S", 0.01)

    async def never() -> AccessToken:
        await asyncio.sleep(60)
        raise AssertionError

    with pytest.raises(TokenUnavailable, match=r"no token within 0\.01 s"):
        await AccessTokens(never).token()
