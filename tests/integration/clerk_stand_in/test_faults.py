"""Each fault as a client meets it."""

import json
import time

import httpx
import pytest
from clerk_backend_api import models


@pytest.fixture
def user_id(clerk_stand_in):
    return clerk_stand_in.instance.create("user_ada", email_address=["ada@example.org"])["id"]


def statuses(ask, count, path="/v1/users"):
    return [ask("GET", path).status_code for _ in range(count)]


@pytest.mark.parametrize("status", [500, 502, 503, 429])
async def test_a_storm_of_errors_is_over_after_so_many_requests(sdk, clerk_stand_in, user_id, status):
    clerk_stand_in.fails("status", status=status, retry_after_s=1, times=2)

    for _ in range(2):
        with pytest.raises(models.ClerkBaseError) as error:
            await sdk.users.get_async(user_id=user_id)
        assert error.value.status_code == status
        assert error.value.headers["retry-after"] == "1"
        assert json.loads(error.value.body)["errors"][0]["code"] in ("internal_clerk_error", "too_many_requests")
    assert (await sdk.users.get_async(user_id=user_id)).id == user_id
    assert [asked.status for asked in clerk_stand_in.requests] == [status, status, 200]


@pytest.mark.parametrize(
    ("status", "code", "told"),
    [
        (401, None, "clerk_key_invalid"),
        (403, None, "authorization_invalid"),
        (402, "unsupported_subscription_plan_features", "unsupported_subscription_plan_features"),
    ],
)
async def test_a_refusal_has_clerks_code(sdk, clerk_stand_in, user_id, status, code, told):
    clerk_stand_in.fails("status", status=status, code=code)

    with pytest.raises(models.ClerkBaseError) as error:
        await sdk.users.ban_async(user_id=user_id)
    assert (error.value.status_code, json.loads(error.value.body)["errors"][0]["code"]) == (status, told)
    assert clerk_stand_in.instance.get(user_id)["banned"] is False


def test_a_share_of_requests_is_the_same_for_the_same_seed(ask, clerk_stand_in):
    runs = []
    for seed in (7, 7, 8):
        clerk_stand_in.faults.clear()
        clerk_stand_in.fails("status", share=0.5, seed=seed)
        runs.append(statuses(ask, 40))

    assert runs[0] == runs[1] != runs[2]
    assert {200, 500} == set(runs[0])


def test_a_fault_is_for_a_method_and_a_path(ask, clerk_stand_in, user_id):
    clerk_stand_in.fails("status", status=503, method="GET", path="/v1/users", exact=True)
    clerk_stand_in.fails("status", status=502, path="/v1/users/user_a")

    assert statuses(ask, 1) == [503]
    assert statuses(ask, 1, "/v1/users?limit=5") == [503]
    assert statuses(ask, 1, "/v1/users/user_ada") == [502]
    assert ask("POST", "/v1/users/user_ada/ban").status_code == 502
    assert ask("POST", "/v1/users", json={}).status_code == 200
    assert statuses(ask, 1, "/v1/users/count") == [200]
    assert [hits for _, hits in clerk_stand_in.faults.hits()] == [1 + 1, 2]


def test_the_first_ones_may_go_well(ask, clerk_stand_in):
    clerk_stand_in.fails("status", skip=2, times=1)

    assert statuses(ask, 5) == [200, 200, 500, 200, 200]


@pytest.mark.parametrize(
    ("kind", "carried_out", "done"),
    [
        ("status", None, False),
        ("status", True, True),
        ("html", None, False),
        ("malformed", None, True),
        ("reset", None, True),
        ("reset", False, False),
    ],
)
def test_an_answer_that_is_lost_may_have_been_an_action_that_was_done(
    ask, clerk_stand_in, user_id, kind, carried_out, done
):
    clerk_stand_in.fails(kind, carried_out=carried_out)
    try:
        ask("POST", f"/v1/users/{user_id}/ban")
    except httpx.TransportError:
        assert kind == "reset"

    assert clerk_stand_in.instance.get(user_id)["banned"] is done


def test_latency_keeps_the_answer_back(ask, clerk_stand_in, user_id):
    clerk_stand_in.fails("latency", delay_s=0.3)
    began = time.monotonic()
    answer = ask("GET", f"/v1/users/{user_id}")

    assert answer.json()["id"] == user_id
    assert time.monotonic() - began >= 0.3


def test_a_slow_body_begins_at_once_and_takes_its_time(clerk_stand_in, user_id):
    clerk_stand_in.fails("slow_body", delay_s=1.0)
    headers = {"authorization": f"Bearer {clerk_stand_in.secret_key}"}
    with httpx.stream("GET", f"{clerk_stand_in.url}/v1/users/{user_id}", headers=headers, trust_env=False) as answer:
        arrived = [(time.monotonic(), chunk) for chunk in answer.iter_raw()]

    assert json.loads(b"".join(chunk for _, chunk in arrived))["id"] == user_id
    assert len(arrived) >= 5
    assert arrived[-1][0] - arrived[0][0] >= 0.5


@pytest.mark.parametrize(
    ("kind", "how", "error"),
    [
        ("reset", {"keep": 0}, httpx.ReadError),
        ("reset", {}, httpx.ReadError),
        ("truncated", {}, httpx.RemoteProtocolError),
        ("truncated", {"keep": 0}, httpx.RemoteProtocolError),
    ],
)
async def test_a_connection_that_breaks_is_a_transport_error_and_the_next_one_works(
    sdk, clerk_stand_in, user_id, kind, how, error
):
    clerk_stand_in.fails(kind, times=1, **how)

    with pytest.raises(error):
        await sdk.users.get_async(user_id=user_id)
    assert (await sdk.users.get_async(user_id=user_id)).id == user_id


async def test_json_that_is_none_is_200_and_unreadable(sdk, clerk_stand_in, user_id):
    clerk_stand_in.fails("malformed", times=1)

    with pytest.raises(models.ResponseValidationError) as error:
        await sdk.users.get_async(user_id=user_id)
    assert error.value.status_code == 200


async def test_a_proxys_page_is_html(sdk, clerk_stand_in, user_id):
    clerk_stand_in.fails("html", status=502)

    with pytest.raises(models.SDKError) as error:
        await sdk.users.get_async(user_id=user_id)
    assert (error.value.status_code, error.value.headers["content-type"]) == (502, "text/html; charset=utf-8")


def test_a_huge_body_is_as_large_as_was_asked_and_json_all_the_same(ask, clerk_stand_in, user_id):
    clerk_stand_in.fails("huge", size_bytes=3_000_000)
    answer = ask("GET", f"/v1/users/{user_id}")

    assert len(answer.content) > 3_000_000
    assert answer.json()["id"] == user_id


def test_faults_are_set_and_cleared_over_http(ask, clerk_stand_in):
    fault = {"kind": "status", "status": 503, "times": 1, "path": "/v1/users"}
    (shown,) = ask("POST", "/stand-in/faults", json=fault).json()
    assert (shown["kind"], shown["status"], shown["times"], shown["hits"]) == ("status", 503, 1, 0)

    assert statuses(ask, 2) == [503, 200]
    assert [entry["hits"] for entry in ask("GET", "/stand-in/faults").json()] == [1]
    assert len(ask("POST", "/stand-in/faults", json={"faults": [fault, fault]}).json()) == 3
    assert ask("DELETE", "/stand-in/faults").json() == []
    assert statuses(ask, 1) == [200]


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"kind": "earthquake"},
        {"kind": "status", "staus": 500},
        {"kind": "status", "status": "500"},
        {"kind": "status", "status": 99},
        {"kind": "status", "share": 2},
        {"kind": "latency", "delay_s": -1},
        {"kind": "latency", "times": 0},
        {"faults": [{"kind": "latency"}, 7]},
    ],
)
def test_a_fault_that_is_none_is_refused_and_none_is_set(ask, clerk_stand_in, document):
    refused = ask("POST", "/stand-in/faults", json=document)

    assert refused.status_code == 400
    assert clerk_stand_in.faults.hits() == []
