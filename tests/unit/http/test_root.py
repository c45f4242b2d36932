"""`/`: what a person finds who opens the address of the service, and what a program does."""

import re

import pytest

from entrypoints.config.loading import load
from entrypoints.config.settings import HttpSettings
from entrypoints.config.sources import ConfigurationError
from entrypoints.version import VERSION
from support.web import NO_FILE
from support.web import web as started

OWN = ["/schema", "/schema/openapi.json", "/health"]
LINKS = "docs = https://docs.example.com/a?b=1&c=2, <b>x</b>=http://127.0.0.1:8080/#top"


def links_in(page):
    return re.findall(r"href='([^']*)'", page)


async def test_it_names_the_service_and_its_version_and_leads_to_what_is_there(web):
    response = await web.client.get("/")

    assert response.status_code == 200
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert f"auth-service {VERSION}" in response.text
    assert links_in(response.text) == OWN
    for link in OWN:
        assert (await web.client.get(link)).status_code == 200, link


async def test_links_of_the_installation_follow_as_text():
    async with started(ROOT_LINKS=LINKS) as web:
        page = (await web.client.get("/")).text
        document = (await web.client.get("/", headers={"accept": "application/json"})).json()

    assert links_in(page) == [*OWN, "https://docs.example.com/a?b=1&amp;c=2", "http://127.0.0.1:8080/#top"]
    assert "&lt;b&gt;x&lt;/b&gt;" in page
    assert "<b>" not in page
    assert document["links"] == {
        "schema": "/schema",
        "health": "/health",
        "docs": "https://docs.example.com/a?b=1&c=2",
        "<b>x</b>": "http://127.0.0.1:8080/#top",
    }


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (None, "text/html"),
        ("*/*", "text/html"),
        ("text/html,application/xhtml+xml,application/json;q=0.9", "text/html"),
        ("application/json", "application/json"),
        ("application/json, text/plain, */*", "application/json"),
        ("\xff;;q=,", "text/html"),
        ("application/json;q=0, */*", "text/html"),
        ("application/json;q=0", "text/html"),
        ("application/json;q=0.1, text/html;q=0.000", "application/json"),
        ("text/html; q = 0, */*", "application/json"),
        ("text/html;q=0.4, APPLICATION/JSON ; Q=0.5", "application/json"),
        ("text/html;q=0.5,application/json;q=0.4", "text/html"),
        ("text/*;q=0.3, application/json;charset=utf-8;q=0.3", "application/json"),
        ("application/*", "application/json"),
        ("application/*;q=0.9, */*", "text/html"),
        ("application/problem+json", "text/html"),
        ("application/json;q=2", "text/html"),
        ("application/json;q=nan, text/plain", "text/html"),
        ("image/png", "text/html"),
    ],
)
async def test_a_program_that_asks_for_json_gets_it(web, accept, kind):
    web.client.headers.pop("accept", None)
    response = await web.client.get("/", headers=[] if accept is None else [(b"accept", accept.encode("latin-1"))])

    assert response.headers["content-type"].partition(";")[0] == kind
    assert "accept" in response.headers["vary"]
    if kind == "application/json":
        assert response.json()["version"] == VERSION


async def test_several_lines_of_accept_are_one_list(web):
    headers = [(b"accept", b"text/html;q=0.5"), (b"accept", b"application/json")]
    web.client.headers.pop("accept", None)
    response = await web.client.get("/", headers=headers)

    assert response.headers["content-type"] == "application/json"


async def test_head_answers_as_get_without_a_body(web):
    get, head = [await web.client.request(method, "/") for method in ("GET", "HEAD")]

    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == get.headers["content-length"]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_there_is_nothing_to_write_to(web, method):
    response = await web.client.request(method, "/")

    assert (response.status_code, response.json()["code"]) == (405, "method-not-allowed")


async def test_it_is_nothing_beside_the_contract(web):
    document = (await web.client.get("/schema/openapi.json")).json()

    assert "/" not in document["paths"]
    assert document["info"]["version"] == VERSION


@pytest.mark.parametrize(
    "text",
    [
        "docs",
        "=https://a.example",
        "docs=",
        "docs=javascript:alert(1)",
        "docs=//a.example",
        "docs=https://u:p@a.example",
        ",",
    ],
)
def test_what_is_no_link_is_refused_at_the_start(text):
    with pytest.raises(ConfigurationError, match="ROOT_LINKS"):
        load(HttpSettings, environment={"ROOT_LINKS": text}, env_file=NO_FILE)
