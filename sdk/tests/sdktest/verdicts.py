"""What the tests of the key set ask of a verifier."""

import asyncio

from anomalyze_auth import JwksKeys, KeysUnavailable, SessionVerifier, TokenRejected
from sdktest.tokens import header, signed


class Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def signed_by(name: str, kid: str) -> str:
    return signed(protected=header(kid=kid), key=name)


async def verdict(verifier: SessionVerifier, token: str) -> str:
    try:
        await verifier.verify(token)
    except TokenRejected as rejected:
        return rejected.reason
    except KeysUnavailable:
        return "unavailable"
    return "accepted"


async def settled(keys: JwksKeys, fetches: int) -> None:
    """Wait until this many fetches are over, those in the background included."""
    async with asyncio.timeout(30):
        while keys.state.fetches < fetches or keys._fetch is not None:
            await asyncio.sleep(0.005)
