"""`min_version` and `If-None-Match`: what a caller has seen, and what is answered when we have only older."""

import pytest
from sdktest.rows import each_row

from entrypoints.http.floor import LARGEST, min_version_in, seen_version_in
from entrypoints.http.problems import MIN_VERSION_NOT_VALID
from support.refusals import refused
from support.users import USER
from support.web import bearer, created, deleted

TAG = "0123456789abcdef01234567"


@each_row(
    ("query", "version"),
    [
        (b"", 0),
        (b"a=1", 0),
        (b"xmin_version=5", 0),
        (b"min_version=1", 1),
        (b"a=1&min_version=12&b", 12),
        (b"min%5Fversion=%37", 7),
        (f"min_version={LARGEST}".encode(), LARGEST),
    ],
)
def test_min_version_is_read_wherever_it_stands(query, version):
    assert min_version_in(query) == version


@each_row(
    "value",
    [
        "",
        "0",
        "-1",
        "+1",
        "%2B1",
        " 1",
        "1.0",
        "1e3",
        "01",
        "0x1",
        "abc",
        "1,2",
        "%D9%A3",
        "1%00",
        "9" * 5000,
        f"{2**63}",
    ],
)
def test_what_is_no_positive_integer_is_refused(value):
    with refused(MIN_VERSION_NOT_VALID):
        min_version_in(f"min_version={value}".encode())


def test_two_of_them_are_refused():
    with refused(MIN_VERSION_NOT_VALID):
        min_version_in(b"min_version=1&min_version=1")


def test_behind_the_original_path_it_is_the_upstreams():
    assert min_version_in(b"min_version=3&path=/x&min_version=nonsense", before="path") == 3


@each_row(
    ("value", "version"),
    [
        (f'"7-{TAG}"', 7),
        (f'W/"7-{TAG}"', 7),
        (f'"7-{TAG}-gzip"', 7),
        (f'"other", W/"3-{TAG}", "9-{TAG}"', 9),
        ("*", 0),
        ("", 0),
        ('"7-abc"', 0),
        (f'"{"9" * 30}-{TAG}"', 0),
    ],
)
def test_an_entity_tag_of_ours_names_a_version(value, version):
    assert seen_version_in([(b"host", b"x"), (b"if-none-match", value.encode())]) == version


async def test_me_is_answered_from_the_version_on_that_the_caller_has_seen(web):
    await web.deliver(created())

    assert (await web.client.get("/v1/me?min_version=1", headers=bearer())).status_code == 200
    for path in ("/v1/me?min_version=2", "/v1/verify?active=true&min_version=2"):
        refused = await web.client.get(path, headers=bearer())
        assert (refused.status_code, refused.json()["code"]) == (409, "version-not-reached")


async def test_a_tag_of_a_version_that_we_do_not_have_is_answered_with_what_we_have(web):
    await web.deliver(created())
    answer = await web.me(if_none_match=f'"9-{TAG}"', **bearer())

    assert (answer.status_code, answer.json()["version"]) == (200, 1)


@pytest.mark.parametrize(
    "path", ["/v1/me?min_version=0", "/v1/verify?min_version=0", "/v1/verify?active=true&min_version="]
)
async def test_a_floor_that_cannot_be_read_is_told(web, path):
    refused = await web.client.get(path, headers=bearer())

    assert (refused.status_code, refused.json()["code"]) == (400, "min-version-not-valid")


async def test_a_floor_in_the_original_requests_query_is_not_ours(web):
    await web.deliver(created())

    for path in ("/v1/ext-authz/orders?min_version=nonsense", "/v1/verify?active=true&path=/orders?&min_version=99"):
        assert (await web.client.get(path, headers=bearer())).status_code == 200


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("min_version=1", 400),
        ("min_version=1&in_person=true&cacheable=true", 400),
        ("min_version=1&path=/orders?&in_person=true", 400),
        ("min_version=1&path=/orders?&active=true", 200),
    ],
)
async def test_a_floor_without_a_look_at_our_row_is_refused(web, query, status):
    await web.deliver(created())
    answer = await web.client.get(f"/v1/verify?{query}", headers=bearer())

    assert answer.status_code == status
    assert answer.content == b"" or answer.json()["code"] == "verify-query-not-valid"


async def test_a_deleted_user_is_told_as_such_whatever_the_floor(web):
    await web.deliver(created())
    await web.deliver(deleted())
    refused = await web.client.get("/v1/me?min_version=99", headers=bearer())

    assert refused.json()["code"] == "user-deleted"


async def test_look_ups_have_the_floor_too(served):
    for path, status, code in (
        (f"/v1/users/{USER}?min_version=1", 200, None),
        (f"/v1/users/{USER}?min_version=2", 409, "version-not-reached"),
        (f"/v1/users/{USER}?min_version=x", 400, "min-version-not-valid"),
        (f"/v1/users?ids={USER}&min_version=1", 200, None),
        (f"/v1/users?min_version=2&ids={USER}", 409, "version-not-reached"),
        (f"/v1/users?ids={USER}&min_version=-1", 400, "min-version-not-valid"),
        ("/v1/users?email=ada@example.org&min_version=1", 422, "request-not-valid"),
        ("/v1/users?min_version=1", 422, "request-not-valid"),
    ):
        answer = await served.client.get(path)
        assert (answer.status_code, answer.json().get("code")) == (status, code), path
