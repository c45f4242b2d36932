"""From publishing that a session ended until a service in another process first refuses its token.

As a script it is that service: `bootstrap-servers session-topic user-topic key-file issuer when-stale every-s` reads
lines of a session id and a token from standard input, verifies each token again and again, and writes, when it is first
refused as revoked, the session id, the time (seconds since 1970), and when it was accepted before. The line `count <n>`
verifies the refused tokens n times in all, and writes how many were accepted. `Service` runs it from a benchmark.
"""

import asyncio
import itertools
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue

import msgspec
import uvloop
from aiokafka import AIOKafkaProducer
from attrs import frozen

from anomalyze_auth import PemKey, RevocationsUnavailable, SessionVerifier, TokenRejected
from anomalyze_auth.revocations import Revocations
from bench.figures import Figure, percentile
from bench.requests import user_ids
from bench.stage import ISSUER, Stage
from devkit.fake_clerk.session_tokens import mint_session_token
from devkit.local.keys import public_half

_READY_S = 30.0
_ANSWER_S = 60.0
_EVENTS_PER_S = 600
_REVOCATIONS_PER_S = 50
_VERIFICATIONS = 100_000

DUE_S = 0.05
"""When a revoked session must be refused elsewhere; what is accepted later is counted."""


def measure(stage: Stage, *, quick: bool) -> Iterator[Figure]:
    """Measure at 600 user events a second beside it, all by a plain producer: the service's half is not in it."""
    runs, count = (1, 100) if quick else (3, 1_000)
    latencies, late, accepted = list[list[float]](), list[float](), 0
    for run in range(runs):
        topics = stage.topic(f"bench-revoked-sessions-{run}"), stage.topic(f"bench-revoked-users-{run}")
        service = Service(stage.kafka.bootstrap_servers, *topics, public_half(stage.keys.private_key), ISSUER)
        try:
            asyncio.run(_publish(stage, topics, service, 0, 3.0))  # warm up
            published = asyncio.run(_publish(stage, topics, service, count, count / _REVOCATIONS_PER_S))
            refused = service.refused(count)
            latencies.append(sorted((refused[session].at - at) * 1000 for session, at in published.items()))
            late.append(sum(refused[session].accepted_after(at + DUE_S) for session, at in published.items()))
            accepted += service.accepted(_VERIFICATIONS)
        finally:
            service.stop()
    note = f"{count:,} revocations a run; then {accepted} of {runs * _VERIFICATIONS:,} verifications accepted one"
    for share in (0.5, 0.95, 0.99, 1.0):
        name = "max" if share == 1.0 else f"p{share * 100:.0f}"
        yield Figure(
            what=f"published to first refusal, {name}",
            unit="ms",
            runs=[percentile(ordered, share) for ordered in latencies],
            note=note,
        )
    what = f"verifications that accepted one more than {DUE_S * 1000:.0f} ms after publishing"
    yield Figure(what=what, unit="", runs=late, note="each session asked about once a millisecond")


async def _publish(
    stage: Stage, topics: tuple[str, str], service: "Service", count: int, seconds: float
) -> dict[str, float]:
    """Publish `count` revocations and 600 user events a second, and return when each revocation was sent."""
    sessions, users = topics
    ids = user_ids(stage, 1_000)
    at: dict[str, float] = {}
    tokens = {
        session_id: token_of(stage, user_id, session_id)
        for user_id in ids[:count]
        for session_id in [f"sess_{user_id.removeprefix('user_')}"]
    }
    async with AIOKafkaProducer(bootstrap_servers=stage.kafka.bootstrap_servers, enable_idempotence=True) as producer:
        changing = asyncio.create_task(_change(producer, users, ids, seconds))
        due = time.perf_counter()
        for session_id, token in tokens.items():
            due += 1 / _REVOCATIONS_PER_S
            service.watch(session_id, token)
            await asyncio.sleep(max(due - time.perf_counter(), 0.005))
            value = {"session": {"id": session_id, "user_id": "user_1", "revoked_at": "2026-11-23T10:00:00.000Z"}}
            at[session_id] = time.time()
            await producer.send_and_wait(
                sessions,
                msgspec.json.encode(value),
                key=session_id.encode(),
                headers=_headers("anomalyze.session.revoked.v1", session_id, 1),
            )
        await changing
    return at


def token_of(stage: Stage, user_id: str, session_id: str) -> str:
    """Return a token of this session that is good for an hour."""
    return mint_session_token(
        stage.keys.private_key,
        user_id=user_id,
        issuer=ISSUER,
        now_s=int(time.time()),
        lifetime_s=3600,
        session_id=session_id,
    )


async def _change(producer: AIOKafkaProducer, topic: str, ids: list[str], seconds: float) -> None:
    began = time.perf_counter()
    for number in itertools.count(1):
        wait = began + number / _EVENTS_PER_S - time.perf_counter()
        if number / _EVENTS_PER_S > seconds:
            return
        if wait > 0:
            await asyncio.sleep(wait)
        user_id, version = ids[number % len(ids)], number // len(ids) + 1
        user = {"id": user_id, "version": version, "email": "ada@example.org", "banned": False}
        await producer.send(
            topic,
            msgspec.json.encode({"user": user, "changed": ["email"]}),
            key=user_id.encode(),
            headers=_headers("anomalyze.user.updated.v1", user_id, version),
        )


def _headers(kind: str, subject: str, version: int) -> list[tuple[str, bytes]]:
    attributes = {
        "ce_specversion": "1.0",
        "ce_id": f"{subject}-{version}",
        "ce_type": kind,
        "ce_subject": subject,
        "ce_sequence": f"{version:020}",
        "content-type": "application/json",
    }
    return [(name, text.encode()) for name, text in attributes.items()]


@frozen
class Refusal:
    """When a token was first refused as revoked, and when it was accepted before; seconds since 1970."""

    at: float
    accepted: list[float]

    def accepted_after(self, due: float) -> int:
        return sum(at > due for at in self.accepted)


class Service:
    """Follows both topics from now on, and tells when each session was first refused; asks every `every_s`."""

    def __init__(  # noqa: PLR0913, PLR0917
        self,
        bootstrap_servers: str,
        session_topic: str,
        user_topic: str,
        pem: str,
        issuer: str,
        when_stale: str = "refuse",
        every_s: float = 0.001,
    ) -> None:
        self._key = tempfile.NamedTemporaryFile("w", prefix="bench-key-", suffix=".pem")  # noqa: SIM115  # until `stop`
        self._key.write(pem)
        self._key.flush()
        command = [sys.executable, "-m", "bench.revoked_consumer", bootstrap_servers, session_topic, user_topic]
        command += [self._key.name, issuer, when_stale, str(every_s)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._lines = SimpleQueue[str]()
        # Read at once: when the pipe is full, the service stands still, and then so does whoever tells it something.
        threading.Thread(target=self._read, daemon=True).start()
        if self._answer() != "ready":
            raise RuntimeError("the service does not know of revocations")

    def watch(self, session_id: str, token: str) -> None:
        """Verify this token until it is refused."""
        self._tell(f"{session_id} {token}")

    def refused(self, count: int) -> dict[str, Refusal]:
        """Wait until `count` sessions are refused, and return what is told of each, by session id."""
        found: dict[str, Refusal] = {}
        while len(found) < count:
            session_id, at, *accepted = self._answer().split()
            found[session_id] = Refusal(float(at), [float(each) for each in accepted])
        return found

    def accepted(self, verifications: int) -> int:
        """Verify the refused tokens in turn, and return how many verifications accepted one."""
        self._tell(f"count {verifications}")
        return int(self._answer())

    def stop(self) -> None:
        try:
            assert self._process.stdin  # noqa: S101  # piped
            self._process.stdin.close()
            self._process.wait(timeout=20)
        finally:
            self._process.kill()
            self._process.wait()
            self._key.close()

    def _tell(self, line: str) -> None:
        assert self._process.stdin  # noqa: S101  # piped
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def _answer(self) -> str:
        line = self._lines.get(timeout=_ANSWER_S)
        if not line:
            raise RuntimeError("the service ended")
        return line

    def _read(self) -> None:
        assert self._process.stdout  # noqa: S101  # piped
        for line in self._process.stdout:
            self._lines.put(line.strip())
        self._lines.put("")


class _Watch:
    """Verifies the tokens of the sessions that are not refused yet, again and again."""

    def __init__(self, verifier: SessionVerifier, every_s: float) -> None:
        self._verifier = verifier
        self._every_s = every_s
        self._watched: dict[str, str] = {}
        self._accepted: dict[str, list[str]] = {}
        self._refused: list[str] = []

    def add(self, session_id: str, token: str) -> None:
        self._watched[session_id] = token
        self._accepted[session_id] = []

    async def run(self) -> None:
        while True:
            for session_id, token in list(self._watched.items()):
                match await self._verdict(token):
                    case "accepted":
                        self._accepted[session_id].append(f"{time.time():.6f}")
                    case "revoked":
                        print(session_id, f"{time.time():.6f}", *self._accepted.pop(session_id), flush=True)
                        del self._watched[session_id]
                        self._refused.append(token)
            await asyncio.sleep(self._every_s)

    async def accepted(self, verifications: int) -> int:
        turns = (self._refused[number % len(self._refused)] for number in range(verifications))
        return sum([await self._verdict(token) == "accepted" for token in turns])

    async def _verdict(self, token: str) -> str:
        try:
            await self._verifier.verify(token)
        except TokenRejected:
            return "revoked"
        except RevocationsUnavailable:
            return "not known"
        return "accepted"


async def _main(  # noqa: PLR0913, PLR0917  # the script's arguments
    bootstrap_servers: str,
    session_topic: str,
    user_topic: str,
    key_file: str,
    issuer: str,
    when_stale: str,
    every_s: str,
) -> None:
    reader = asyncio.StreamReader(limit=2**20)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    revocations = Revocations(
        bootstrap_servers,
        session_topic=session_topic,
        user_topic=user_topic,
        when_stale="allow" if when_stale == "allow" else "refuse",
    )
    key = PemKey(Path(key_file).read_text(encoding="ascii"))  # noqa: ASYNC240  # before anything runs
    watch = _Watch(SessionVerifier(key, issuer=issuer, revocations=revocations), float(every_s))
    try:
        state = await revocations.start(timeout=_READY_S)
        print("ready" if state.current else state.last_error, flush=True)
        running = asyncio.create_task(watch.run())
        while line := (await reader.readline()).decode().strip():
            match line.split():
                case ["count", number]:
                    print(await watch.accepted(int(number)), flush=True)
                case [session_id, token]:
                    watch.add(session_id, token)
        running.cancel()
    finally:
        await revocations.aclose()


if __name__ == "__main__":
    uvloop.run(_main(*sys.argv[1:8]))
