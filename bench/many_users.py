"""Any number of users that follow from their numbers: as rows, and as Clerk's API lists them, without holding them.

As a program it is that API: `python -m bench.many_users PORT COUNT`.
"""

import asyncio
import hashlib
import re
import sys
from urllib.parse import parse_qs, urlsplit

FIRST_MS = 1_600_000_000_000
STEP_MS = 1_000
"""User n was created, and last changed, n steps after the first."""

_IMAGE = "https://img.clerk.com/"

# What user n is, in SQL; `user_of` says the same in JSON, and a reconcile that finds no difference proves it.
ROWS = f"""
    INSERT INTO users (id, version, revision, email, email_verified, emails, first_name, last_name, image_url,
                       public_metadata, banned, locked, created_at, updated_at, source_updated_at, source_timestamp,
                       source_digest)
    SELECT id, 1, 1, email, true, emails::json, first_name, last_name, image_url, metadata::json, false, false,
           to_timestamp(at / 1000), to_timestamp(at / 1000), at, at,
           sha256(convert_to(format('[%s,true,[["idn_%s",%s,true,"verified"]],null,null,%s,%s,%s,null,%s,false,false,%s]',
                  to_json(email), key, to_json(email), to_json(first_name), to_json(last_name), to_json(image_url),
                  metadata, at), 'UTF8'))
    FROM (
        SELECT 'user_2' || key AS id, key, first_name, last_name, at,
               lower(first_name || '.' || last_name) || '.' || n || '@example.org' AS email,
               format('[{{"id":"idn_%s","email":"%s","verified":true,"status":"verified"}}]', key,
                      lower(first_name || '.' || last_name) || '.' || n || '@example.org') AS emails,
               '{_IMAGE}' || hash || md5(hash) || md5('b' || hash) || md5('c' || hash) AS image_url,
               format('{{"plan":"free","team":"team_%s"}}', n % 1000) AS metadata
        FROM (
            SELECT n, md5(n::text) AS hash, {FIRST_MS} + n::bigint * {STEP_MS} AS at,
                   lpad(to_hex(n), 8, '0') || substr(md5(n::text), 1, 18) AS key,
                   'First' || n % 997 AS first_name, 'Last' || n % 9973 AS last_name
            FROM generate_series($1::int, $2::int) n
        ) numbered
    ) described
"""  # noqa: S608  # constants


def key_of(number: int) -> str:
    return f"{number:08x}{_md5(str(number))[:18]}"


def user_id_of(number: int) -> str:
    return f"user_2{key_of(number)}"


def email_of(number: int) -> str:
    return f"first{number % 997}.last{number % 9973}.{number}@example.org"


def user_of(number: int) -> str:
    """Return user n as Clerk's Backend API has it, as far as it is kept."""
    key, at, hashed = key_of(number), FIRST_MS + number * STEP_MS, _md5(str(number))
    image = f"{_IMAGE}{hashed}{_md5(hashed)}{_md5('b' + hashed)}{_md5('c' + hashed)}"
    return (
        f'{{"id":"user_2{key}","object":"user","first_name":"First{number % 997}","last_name":"Last{number % 9973}",'
        f'"image_url":"{image}","primary_email_address_id":"idn_{key}","email_addresses":[{{"id":"idn_{key}",'
        f'"object":"email_address","email_address":"{email_of(number)}","verification":{{"object":"verification_otp",'
        f'"status":"verified","strategy":"email_code","attempts":1,"expire_at":null}}}}],"phone_numbers":[],'
        f'"external_id":null,"username":null,"public_metadata":{{"plan":"free","team":"team_{number % 1000}"}},'
        f'"banned":false,"locked":false,"created_at":{at},"updated_at":{at}}}'
    )


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def answer(target: str, count: int) -> tuple[int, str]:
    """Answer what a reconcile asks: the list by creation, the number of users, one user."""
    parts = urlsplit(target)
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    if parts.path.endswith("/users/count"):
        return 200, f'{{"object":"total_count","total_count":{count}}}'
    if match := re.fullmatch(r".*/users/user_2([0-9a-f]{8})[0-9a-f]{18}", parts.path):
        return 200, user_of(int(match[1], 16))
    after = int(query.get("created_at_after", FIRST_MS))
    first = max(1, (after - FIRST_MS) // STEP_MS + 1) + int(query.get("offset", 0))
    last = min(count, first + int(query.get("limit", 10)) - 1)
    return 200, f"[{','.join(map(user_of, range(first, last + 1)))}]"


async def _main(port: int, count: int) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                status, body = answer(head.split(b" ", 2)[1].decode(), count)
                encoded = body.encode()
                head_of = f"HTTP/1.1 {status} OK\r\ncontent-type: application/json\r\ncontent-length: {len(encoded)}"
                writer.write(head_of.encode() + b"\r\n\r\n" + encoded)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1]), int(sys.argv[2])))
