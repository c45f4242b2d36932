"""`/`: what a person finds who opens the address of the service."""

import re

import pytest

from entrypoints.version import VERSION


async def test_it_names_the_service_and_its_version_and_leads_to_what_is_there(web):
    response = await web.client.get("/")
    links = re.findall(r"href='([^']*)'", response.text)

    assert response.status_code == 200
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert f"auth-service {VERSION}" in response.text
    assert links == ["/schema", "/schema/openapi.json", "/health"]
    for link in links:
        assert (await web.client.get(link)).status_code == 200, link


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_there_is_nothing_to_write_to(web, method):
    response = await web.client.request(method, "/")

    assert (response.status_code, response.json()["code"]) == (405, "method-not-allowed")


async def test_it_is_nothing_beside_the_contract(web):
    document = (await web.client.get("/schema/openapi.json")).json()

    assert "/" not in document["paths"]
    assert document["info"]["version"] == VERSION
