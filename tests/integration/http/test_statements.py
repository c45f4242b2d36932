"""What a request asks PostgreSQL: `auth-service serve` as a process, with what it sends counted on the way."""

import httpx

from devkit.fake_clerk.samples import sample_session
from support.costs import meter
from support.web import bearer, created, event, signed

USER = "user_ada"
PATHS = ("/v1/me", "/v1/verify?active=true")


async def test_a_signed_in_request_is_one_statement_as_it_was_before_sessions_could_be_revoked(serve, database_url):
    async with meter(database_url) as postgres:
        url = serve("--workers=1", DATABASE_URL=postgres.url).url
        async with httpx.AsyncClient(base_url=url, timeout=20, trust_env=False) as client:
            ended = {**sample_session("sess_gone", USER, now_ms=1_700_000_000_000), "status": "ended"}
            for body in (created(USER), event("session.ended", ended)):
                await client.post("/webhooks/clerk", content=body, headers=signed(body))
            for path in PATHS * 2:  # the first meets new connections
                await client.get(path, headers=bearer(USER, sid="sess_1"))

            for path in PATHS:
                for session, status in (("sess_1", 200), ("sess_gone", 401)):
                    async with postgres.counted() as cost:
                        answer = await client.get(path, headers=bearer(USER, sid=session))

                    assert (answer.status_code, cost.statements, cost.round_trips) == (status, 1, 1), (path, session)
            async with postgres.counted() as cost:
                answers = [await client.get("/v1/verify", headers=bearer(USER)) for _ in range(10)]

            assert {answer.status_code for answer in answers} == {200}
            assert cost.statements == 0
