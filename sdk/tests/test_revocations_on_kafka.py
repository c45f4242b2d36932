"""Following revocations on a real broker: from a time on, through whatever is in the topics and happens to them."""

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import AsyncIterator, Mapping

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import NewPartitions
from aiokafka.record.util import calc_crc32c

from anomalyze_auth import Authenticated, PemKey, Reason, RevocationsUnavailable, SessionVerifier, TokenRejected
from anomalyze_auth.revocations import Revocations
from sdktest.messages import changed, deleted, headers, revoked
from sdktest.revocation_topics import Topics, made_topics, until
from sdktest.tokens import ISSUER, claims, pem, signed


@pytest.fixture
async def topics(kafka_address: str) -> AsyncIterator[Topics]:
    async with made_topics(kafka_address) as made:
        yield made


def verdict(revocations: Revocations, session_id: str = "sess_1", user_id: str = "user_1") -> str:
    verifier = SessionVerifier(PemKey(pem()), issuer=ISSUER, revocations=revocations)
    try:
        verifier.verify_now(signed(claims(int(time.time()), sid=session_id, sub=user_id)))
    except TokenRejected as rejected:
        return rejected.reason
    except RevocationsUnavailable:
        return "unavailable"
    return "accepted"


async def test_what_was_published_before_the_start_is_known_when_the_start_returns(topics):
    for number in range(50):
        await topics.tell(revoked(f"sess_{number}"))
    await topics.tell(changed(2, "user_banned", banned=True))
    await topics.tell(deleted(3, "user_deleted"))
    await topics.tell(changed(2, "user_unbanned", banned=True))
    await topics.tell(changed(3, "user_unbanned"))

    async with topics.followed() as revocations:
        assert {verdict(revocations, f"sess_{number}") for number in range(50)} == {Reason.SESSION_REVOKED}
        assert verdict(revocations, "sess_x", "user_banned") == Reason.USER_BANNED
        assert verdict(revocations, "sess_x", "user_deleted") == Reason.USER_DELETED
        assert verdict(revocations, "sess_x", "user_unbanned") == "accepted"
        assert revocations.state.current
        assert (revocations.state.sessions, revocations.state.users) == (50, 3)
        assert revocations.state.refused == {"session-revoked": 50, "user-deleted": 1, "user-banned": 1}


async def test_what_is_published_later_counts_as_it_arrives_and_a_ban_can_be_lifted(topics):
    async with topics.followed() as revocations:
        assert verdict(revocations) == "accepted"

        await topics.tell(revoked("sess_1"))
        await until(lambda: verdict(revocations) == Reason.SESSION_REVOKED)
        assert verdict(revocations, "sess_2") == "accepted"
        await topics.tell(changed(1, banned=True))
        await until(lambda: verdict(revocations, "sess_2") == Reason.USER_BANNED)
        await topics.tell(changed(2))
        await until(lambda: verdict(revocations, "sess_2") == "accepted")
        await topics.tell(changed(1, banned=True))  # once more, by a relay that lost its acknowledgement
        await topics.tell(deleted(3, "user_2"))
        await until(lambda: verdict(revocations, "sess_3", "user_2") == Reason.USER_DELETED)
        assert verdict(revocations, "sess_2") == "accepted"


@pytest.mark.parametrize("off", [-5.0, 0.0, 5.0])
async def test_only_the_window_is_read_with_a_clock_that_is_off_too(topics, monkeypatch, off: float):
    now = int(time.time() * 1000)
    await topics.tell(revoked("sess_old"), timestamp_ms=now - 400_000)
    await topics.tell(revoked("sess_of_the_window"), timestamp_ms=now - 290_000)
    right = time.time
    monkeypatch.setattr(time, "time", lambda: right() + off)

    async with topics.followed() as revocations:
        monkeypatch.undo()
        assert verdict(revocations, "sess_old") == "accepted"
        assert verdict(revocations, "sess_of_the_window") == Reason.SESSION_REVOKED
        assert revocations.fresh() < 10


async def test_topics_in_which_nothing_happens_are_up_to_date(topics):
    async with topics.followed(stale_after=2) as revocations:
        for _ in range(30):
            await asyncio.sleep(0.1)
            assert verdict(revocations) == "accepted"
            assert revocations.fresh() < 2
        assert revocations.state.stale_refused == 0


async def test_it_is_stale_before_it_starts_and_after_it_ends(topics):
    revocations = topics.followed()
    assert verdict(revocations) == "unavailable"
    assert revocations.fresh() == math.inf
    async with revocations:
        assert verdict(revocations) == "accepted"
    assert verdict(revocations) == "unavailable"
    assert not revocations.state.current
    assert revocations.state.stale_refused == 2
    with pytest.raises(RuntimeError, match="once"):
        await revocations.start()


@pytest.mark.parametrize(("when_stale", "expected"), [("refuse", "unavailable"), ("allow", "accepted")])
async def test_a_topic_that_does_not_exist_is_out_of_reach_by_its_name_until_it_does(
    topics, when_stale, expected, caplog
):
    await topics.delete(topics.sessions)
    revocations = topics.followed(when_stale=when_stale)
    with caplog.at_level(logging.WARNING, "anomalyze_auth"):
        state = await revocations.start(timeout=2)

    assert not state.current
    assert state.last_error == f"there is no topic {topics.sessions}, or it may not be read"
    assert [record.message for record in caplog.records].count(
        f"revocations cannot be followed: {state.last_error}"
    ) == 1
    assert verdict(revocations) == expected
    assert topics.sessions not in await topics.admin.list_topics()  # asking does not make it
    assert (revocations.state.stale_refused, revocations.state.stale_allowed) == (
        (1, 0) if when_stale == "refuse" else (0, 1)
    )

    await topics.create(topics.sessions)
    await topics.tell(revoked())
    await until(lambda: verdict(revocations) == Reason.SESSION_REVOKED)
    await until(lambda: revocations.state.current)
    await revocations.aclose()


async def test_a_broker_that_is_not_there_is_stale_and_the_start_returns(unused_tcp_port):
    revocations = Revocations(f"127.0.0.1:{unused_tcp_port}")
    began = time.monotonic()
    state = await revocations.start(timeout=1.5)

    assert time.monotonic() - began < 10
    assert not state.current
    assert state.last_error is not None
    assert verdict(revocations) == "unavailable"
    await revocations.aclose()


async def test_nothing_that_a_record_can_hold_ends_the_following_and_each_cause_is_logged_once(topics, caplog):
    def strange(
        message: tuple[Mapping[str, str], bytes],
    ) -> list[tuple[bytes | None, bytes | None, list[tuple[str, bytes | None]]]]:
        given = [(name, text.encode()) for name, text in message[0].items()]
        return [
            (b"k", message[1], [(name, None) for name, _ in given]),
            (b"k", message[1], [(name, b"\xff") for name, _ in given]),
            (b"k", message[1], []),
            (None, None, []),
            (b"k", None, [*given]),
            (b"k", b"{}", [*given]),
            (b"k", b"not JSON", [*given]),
            (b"k", b"not JSON either", [*given]),
            (b"k", message[1], [*given, ("ce_id", b"another")]),
        ]

    later = revoked("sess_v2", ce_type="anomalyze.session.revoked.v2")
    elsewhere = headers("merged.v1", 3, "user_1"), b"{}"
    with caplog.at_level(logging.WARNING, "anomalyze_auth"):
        async with topics.followed() as revocations:
            for topic, message in ((topics.sessions, revoked("sess_x")), (topics.users, changed(1, banned=True))):
                batch = topics.producer.create_batch()  # other clients send records without key and value too
                for key, data, pairs in strange(message):
                    batch.append(key=key, value=data, timestamp=int(time.time() * 1000), headers=pairs)
                await (await topics.producer.send_batch(batch, topic, partition=0))
            for unknown in (later, later, elsewhere):
                await topics.tell(unknown)
            await topics.tell(revoked("sess_1"), partition=0)
            await topics.tell(changed(1, "user_9", banned=True), partition=0)
            await until(lambda: verdict(revocations) == Reason.SESSION_REVOKED)
            await until(lambda: verdict(revocations, "sess_y", "user_9") == Reason.USER_BANNED)
            await until(lambda: revocations.state.skipped["unknown"] == 3)

            assert revocations.state.failures == 0
            assert revocations.state.skipped == {"unknown": 3, "unusable": 18, "unreadable": 0}
    logged = [record.getMessage() for record in caplog.records]
    assert len(logged) == len(set(logged))
    assert any("anomalyze.session.revoked.v2" in line for line in logged)


async def test_a_record_that_the_client_cannot_read_is_left_out_and_what_is_around_it_is_not(topics):
    async with topics.followed() as revocations:
        await topics.tell(revoked("sess_earlier"), partition=0)
        await tell_with_a_header_name_that_is_not_utf8(topics, "sess_before", "sess_bad", "sess_of_the_same_batch")
        await topics.tell(revoked("sess_after"), partition=0)

        await until(lambda: verdict(revocations, "sess_after") == Reason.SESSION_REVOKED)
        assert verdict(revocations, "sess_earlier") == verdict(revocations, "sess_before") == Reason.SESSION_REVOKED
        assert revocations.state.skipped["unreadable"] == 2
        await until(lambda: revocations.fresh() < 1)


async def tell_with_a_header_name_that_is_not_utf8(topics: Topics, *session_ids: str) -> None:
    """Of the second one, by the bytes of the batch: aiokafka can write such a name as little as it can read it."""
    batch = topics.producer.create_batch()
    for number, session_id in enumerate(session_ids):
        attributes, value = revoked(session_id)
        pairs = [(name, text.encode()) for name, text in attributes.items()]
        more = [("name-XX", b"")] if number == 1 else []
        batch.append(key=None, value=value, timestamp=int(time.time() * 1000), headers=[*pairs, *more])
    data = bytearray(batch._build().replace(b"name-XX", b"name-\xff\xfe"))
    data[17:21] = calc_crc32c(bytes(data[21:])).to_bytes(4, "big")  # kafka.apache.org/documentation/#recordbatch
    batch._buffer = data
    await (await topics.producer.send_batch(batch, topics.sessions, partition=0))


async def test_partitions_that_are_added_are_read_from_their_beginning(topics):
    async with topics.followed() as revocations:
        await topics.admin.create_partitions({topics.sessions: NewPartitions(7)})
        async with asyncio.timeout(60):
            for partition in range(7):
                while True:  # until the producer has heard of it
                    with contextlib.suppress(Exception):
                        await topics.tell(revoked(f"sess_{partition}"), partition=partition)
                        break
                    await asyncio.sleep(0.05)
        for partition in range(7):
            await until(lambda: verdict(revocations, f"sess_{partition}") == Reason.SESSION_REVOKED)  # noqa: B023
        assert revocations.state.failures == 0


async def test_a_topic_that_is_deleted_and_made_anew_is_followed_again_and_nothing_is_forgotten(topics):
    async with topics.followed() as revocations:
        for number in range(9):
            await topics.tell(revoked(f"sess_old_{number}"))
        await until(lambda: revocations.state.sessions == 9)

        await topics.delete(topics.sessions)
        await topics.create(topics.sessions, partitions=1)
        async with asyncio.timeout(60):
            for number in range(3):
                while True:
                    with contextlib.suppress(Exception):
                        await topics.tell(revoked(f"sess_new_{number}"), partition=0)
                        break
                    await asyncio.sleep(0.05)

        for number in range(3):
            await until(lambda: verdict(revocations, f"sess_new_{number}") == Reason.SESSION_REVOKED)  # noqa: B023
        assert verdict(revocations, "sess_old_8") == Reason.SESSION_REVOKED
        await until(lambda: revocations.state.current)


async def test_a_topic_made_anew_that_is_at_once_longer_than_it_was_is_read_from_its_beginning(topics):
    async with topics.followed() as revocations:
        await topics.tell(revoked("sess_old"), partition=0)
        await until(lambda: revocations.state.sessions == 1)

        await topics.delete(topics.sessions)
        await topics.create(topics.sessions, partitions=1)
        async with AIOKafkaProducer(bootstrap_servers=topics.address) as producer:
            batch = producer.create_batch()
            for number in range(5):
                attributes, value = revoked(f"sess_new_{number}")
                pairs = [(name, text.encode()) for name, text in attributes.items()]
                batch.append(key=None, value=value, timestamp=int(time.time() * 1000), headers=pairs)
            await (await producer.send_batch(batch, topics.sessions, partition=0))

        for number in range(5):
            await until(lambda: verdict(revocations, f"sess_new_{number}") == Reason.SESSION_REVOKED)  # noqa: B023


async def test_events_written_in_transactions_are_followed_and_their_markers_do_not_make_it_stale(topics):
    async with (
        topics.followed(stale_after=2) as revocations,
        AIOKafkaProducer(bootstrap_servers=topics.address, transactional_id=topics.users) as producer,
    ):
        for number in range(3):
            attributes, value = changed(1, f"user_{number}", banned=True)
            async with producer.transaction():
                await producer.send(
                    topics.users, value, key=b"k", headers=[(name, text.encode()) for name, text in attributes.items()]
                )
        await until(lambda: verdict(revocations, "sess_x", "user_2") == Reason.USER_BANNED)
        await asyncio.sleep(2.5)
        assert revocations.fresh() < 2


async def test_what_did_not_fit_makes_it_stale_and_is_counted(topics):
    async with topics.followed(most=3) as revocations:
        for number in range(5):
            await topics.tell(revoked(f"sess_{number}"))
        await until(lambda: revocations.state.dropped == 2)

        assert revocations.state.sessions == 3
        assert not revocations.state.current
        assert verdict(revocations, "sess_elsewhere") == "unavailable"
        assert verdict(revocations, "sess_0") == Reason.SESSION_REVOKED


async def test_two_followers_of_one_topic_both_have_all(topics):
    async with topics.followed() as one, topics.followed() as other:
        await topics.tell(revoked())
        for revocations in (one, other):
            await until(lambda: verdict(revocations) == Reason.SESSION_REVOKED)  # noqa: B023


async def test_a_connection_that_lasts_can_be_checked_again(topics):
    async with topics.followed() as revocations:
        verifier = SessionVerifier(PemKey(pem()), issuer=ISSUER, revocations=revocations)
        caller: Authenticated = verifier.verify_now(signed(claims(int(time.time()), sid="sess_1")))
        revocations.check(caller)

        await topics.tell(revoked("sess_1"))
        await until(lambda: verdict(revocations) == Reason.SESSION_REVOKED)
        with pytest.raises(TokenRejected) as caught:
            revocations.check(caller)
        assert caught.value.reason is Reason.SESSION_REVOKED


@pytest.mark.parametrize(
    "settings",
    [
        {"when_stale": "maybe"},
        {"window": 0},
        {"window": math.inf},
        {"stale_after": 0.5},
        {"stale_after": math.nan},
        {"most": 0},
        {"user_topic": "auth.session.events.v1"},
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        Revocations("localhost:9092", **settings)
