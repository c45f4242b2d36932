"""When keys are fetched, how often, and how long they serve."""

import asyncio
from http.server import BaseHTTPRequestHandler

import httpx
import pytest

from anomalyze_auth import JwksKeys, KeysUnavailable, Reason
from sdktest.jwks_server import body
from sdktest.tokens import (
    KID,
    header,
    jwk,
    signed,
    unsigned,
)
from sdktest.verdicts import settled, signed_by, verdict


async def test_many_first_requests_share_one_fetch(verifier, jwks_server):
    verdicts = await asyncio.gather(*(verdict(verifier, signed()) for _ in range(50)))

    assert set(verdicts) == {"accepted"}
    assert jwks_server.requests == 1


async def test_once_fetched_the_key_is_at_hand_without_waiting(verifier, keys, jwks_server):
    with pytest.raises(KeysUnavailable):
        verifier.verify_now(signed())
    await keys.refresh()

    assert verifier.verify_now(signed()).user_id == "user_2abcDEFghi"
    assert jwks_server.requests == 1


async def test_tokens_that_their_form_or_header_rules_out_never_cause_a_fetch(verifier, jwks_server):
    bad = [
        "garbage",
        "a.b.c",
        f"{unsigned(protected=header(alg='none'))}.",
        f"{unsigned(protected=header(alg='HS256'))}.AAAA",
        signed(protected=header(typ="at+jwt")),
        signed(protected=header(cat="cl_B7d4PD222AAA")),
        signed(protected=header(crit=["x"])),
        signed(protected=header(kid=...)),
        "x" * 50_000,
    ]
    verdicts = [await verdict(verifier, token) for token in bad for _ in range(5)]

    assert "accepted" not in verdicts
    assert "unavailable" not in verdicts
    assert jwks_server.requests == 0


async def test_a_rotated_key_is_found_without_a_restart_and_the_old_one_is_gone(verifier, jwks_server):
    assert await verdict(verifier, signed()) == "accepted"

    jwks_server.answer_keys(jwk("rotated", kid="ins_rotated"))

    assert await verdict(verifier, signed_by("rotated", "ins_rotated")) == "accepted"
    assert await verdict(verifier, signed()) == Reason.UNKNOWN_KEY
    assert jwks_server.requests == 2


async def test_a_flood_of_unknown_kids_fetches_once_per_cooldown(verifier, jwks_server, clock):
    assert await verdict(verifier, signed()) == "accepted"

    flood = [signed_by("stranger", f"ins_{number}") for number in range(40)]
    for _ in range(3):
        verdicts = await asyncio.gather(*(verdict(verifier, token) for token in flood))
        assert set(verdicts) == {Reason.UNKNOWN_KEY}
    assert jwks_server.requests == 2

    clock.seconds += 29.9
    await verdict(verifier, flood[0])
    assert jwks_server.requests == 2

    clock.seconds += 0.1
    await asyncio.gather(*(verdict(verifier, token) for token in flood))
    assert jwks_server.requests == 3
    assert await verdict(verifier, signed()) == "accepted"


async def test_an_unknown_kid_at_the_start_costs_one_fetch_not_two(verifier, jwks_server):
    assert await verdict(verifier, signed_by("stranger", "ins_x")) == Reason.UNKNOWN_KEY
    assert jwks_server.requests == 1


async def test_a_bad_signature_causes_no_fetch(verifier, jwks_server):
    assert await verdict(verifier, signed()) == "accepted"

    for _ in range(20):
        assert await verdict(verifier, signed_by("stranger", KID)) == Reason.TOKEN_INVALID_SIGNATURE
    assert jwks_server.requests == 1


async def test_keys_are_renewed_in_the_background_before_they_are_old(verifier, keys, jwks_server, clock):
    await verdict(verifier, signed())
    clock.seconds += 239
    await verdict(verifier, signed())
    assert jwks_server.requests == 1

    clock.seconds += 2
    assert await verdict(verifier, signed()) == "accepted"
    await settled(keys, 2)

    assert keys.state.age_seconds == 0
    assert jwks_server.requests == 2


async def test_a_key_that_was_withdrawn_while_nobody_asked_is_refused(verifier, jwks_server, clock):
    await verdict(verifier, signed())
    jwks_server.answer_keys(jwk("rotated", kid="ins_rotated"))

    clock.seconds += 301

    assert await verdict(verifier, signed()) == Reason.UNKNOWN_KEY


async def test_in_an_outage_the_old_keys_serve_for_a_bounded_time_and_then_nothing_is_decided(
    verifier, keys, jwks_server, clock
):
    await verdict(verifier, signed())
    jwks_server.answer = body(b"down", status=500)

    clock.seconds += 301
    assert await verdict(verifier, signed()) == "accepted"
    assert keys.state.last_error is not None
    assert "500" in keys.state.last_error
    assert await verdict(verifier, signed_by("stranger", "ins_new")) == "unavailable"

    clock.seconds += 3590
    assert await verdict(verifier, signed()) == "accepted"
    await settled(keys, 3)

    clock.seconds += 10
    assert not keys.state.usable
    assert await verdict(verifier, signed()) == "unavailable"


async def test_in_an_outage_fetches_are_paced_and_nobody_waits_for_them(verifier, keys, jwks_server, clock):
    await verdict(verifier, signed())
    jwks_server.answer = body(b"down", status=500)
    clock.seconds += 301
    await verdict(verifier, signed())
    assert jwks_server.requests == 2

    jwks_server.answer = lambda _: jwks_server.closing.wait(10)
    clock.seconds += 2
    async with asyncio.timeout(2.5):  # less than the fetch that hangs in the background
        for _ in range(20):
            assert await verdict(verifier, signed()) == "accepted"
            await asyncio.sleep(0)

    assert keys.state.fetches == 3


async def test_keys_come_back_by_themselves_after_an_outage(verifier, keys, jwks_server, clock):
    jwks_server.answer = body(b"down", status=503)
    assert await verdict(verifier, signed()) == "unavailable"
    assert await verdict(verifier, signed()) == "unavailable"
    assert jwks_server.requests == 1

    jwks_server.answer_keys(jwk())
    clock.seconds += 2

    assert await verdict(verifier, signed()) == "accepted"
    assert keys.state.last_error is None
    assert (keys.state.fetches, keys.state.failures) == (2, 1)


async def test_a_failed_search_for_a_kid_is_no_verdict_on_the_token(verifier, jwks_server):
    await verdict(verifier, signed())
    jwks_server.answer = body(b"down", status=500)

    assert await verdict(verifier, signed_by("rotated", "ins_rotated")) == "unavailable"
    assert await verdict(verifier, signed()) == "accepted"


async def test_a_caller_who_leaves_does_not_end_the_fetch_of_the_others(verifier, jwks_server):
    release = asyncio.Event()
    loop = asyncio.get_running_loop()
    good = jwks_server.answer

    def held(request: BaseHTTPRequestHandler) -> None:
        asyncio.run_coroutine_threadsafe(release.wait(), loop).result(5)
        good(request)

    jwks_server.answer = held
    leaver, stayer = (asyncio.create_task(verdict(verifier, signed())) for _ in range(2))
    await asyncio.sleep(0.05)
    leaver.cancel()
    release.set()

    assert await stayer == "accepted"
    assert leaver.cancelled()
    assert jwks_server.requests == 1


async def test_closing_in_the_middle_of_a_fetch_leaves_nobody_hanging(verifier, keys, jwks_server):
    jwks_server.answer = lambda _: jwks_server.closing.wait(10)
    waiting = asyncio.create_task(verdict(verifier, signed()))
    await asyncio.sleep(0.05)

    await keys.aclose()

    assert await waiting == "unavailable"


async def test_the_headers_of_the_backend_api_are_sent_and_nothing_packed_is_asked_for(jwks_server):
    jwks_server.answer_keys(jwk())
    keys = JwksKeys(jwks_server.url, headers={"Authorization": "Bearer sk_test_1"})
    await keys.refresh()
    await keys.aclose()

    (sent,) = jwks_server.headers
    sent = {name.lower(): value for name, value in sent.items()}
    assert sent["authorization"] == "Bearer sk_test_1"
    assert sent["accept-encoding"] == "identity"


async def test_a_client_of_ones_own_is_used_and_closed(jwks_server):
    jwks_server.answer_keys(jwk())
    made: list[httpx.AsyncClient] = []

    def factory() -> httpx.AsyncClient:
        made.append(httpx.AsyncClient(headers={"User-Agent": "ours"}))
        return made[-1]

    keys = JwksKeys(jwks_server.url, client=factory)
    await keys.refresh()
    await keys.refresh()
    await keys.aclose()

    assert len(made) == 1
    assert made[0].is_closed
    assert {sent["User-Agent"] for sent in jwks_server.headers} == {"ours"}
