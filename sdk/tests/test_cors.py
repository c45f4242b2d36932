"""Preflights: a browser's is answered by the CORS middleware outside; what only looks like one is let in nowhere."""

from collections.abc import Iterator

import httpx
import pytest

from sdktest.cors_apps import CORS_APPS
from sdktest.rows import each_row
from sdktest.serving import served
from sdktest.tokens import PARTY, signed

BEARER = {"Authorization": f"Bearer {signed()}"}
PREFLIGHT = {"Origin": PARTY, "Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization"}
LOOKALIKES = [
    PREFLIGHT,
    {"Origin": PARTY, "Access-Control-Request-Method": ""},
    {"Origin": "", "Access-Control-Request-Method": "POST"},
    {"Origin": "https://evil.example.com", "Access-Control-Request-Method": "POST"},
    {"Origin": "null", "Access-Control-Request-Method": "GET", "Access-Control-Request-Private-Network": "true"},
    {"Origin": PARTY},
    {"Access-Control-Request-Method": "GET"},
]


@pytest.fixture(scope="module", params=list(CORS_APPS))
def framework(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def bare(framework: str) -> Iterator[httpx.Client]:
    with served(CORS_APPS[framework](cors=False)) as origin, httpx.Client(base_url=origin) as client:
        yield client


@pytest.fixture(scope="module")
def with_cors(framework: str) -> Iterator[httpx.Client]:
    with served(CORS_APPS[framework](cors=True)) as origin, httpx.Client(base_url=origin) as client:
        yield client


@each_row("headers", LOOKALIKES)
def test_preflight_headers_get_nobody_to_a_handler_of_any_method(bare: httpx.Client, headers: dict[str, str]):
    refused = bare.options("/any", headers=headers)

    assert (refused.status_code, refused.json()["code"]) == (401, "token-missing")
    assert bare.options("/any", headers={**headers, **BEARER}).text == "ran OPTIONS"
    assert bare.options("/open", headers=headers).text == "ran OPTIONS"


@each_row("headers", LOOKALIKES)
def test_with_cors_outside_they_reach_no_handler_either(with_cors: httpx.Client, headers: dict[str, str]):
    assert "ran" not in with_cors.options("/any", headers=headers).text


def test_a_browsers_preflight_is_answered_in_the_documented_order(with_cors: httpx.Client):
    answer = with_cors.options("/any", headers=PREFLIGHT)

    assert answer.status_code in (200, 204)
    assert answer.headers["access-control-allow-origin"] == PARTY
    assert "authorization" in answer.headers["access-control-allow-headers"].lower()


def test_a_page_may_read_answers_and_refusals(with_cors: httpx.Client):
    admitted = with_cors.get("/any", headers={"Origin": PARTY, **BEARER})
    refused = with_cors.get("/any", headers={"Origin": PARTY})
    ambiguous = with_cors.get("/any%0A", headers={"Origin": PARTY, **BEARER})

    assert (admitted.status_code, admitted.text) == (200, "ran GET")
    assert refused.status_code == 401
    assert ambiguous.status_code in (400, 404)
    for answer in (admitted, refused):
        assert answer.headers["access-control-allow-origin"] == PARTY
