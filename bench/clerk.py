"""`python -m bench.clerk PORT ENDPOINT`: the Clerk stand-in as a production instance, which the command will not be."""

import asyncio
import os
import sys

from devkit.fake_clerk.assembly import stand_in
from devkit.fake_clerk.deliveries import Endpoint
from devkit.fake_clerk.http_server import listening
from devkit.local.keys import new_keys


async def _main(port: int, endpoint: str) -> None:
    clerk = stand_in(
        secret_key=os.environ["CLERK_SECRET_KEY"],
        private_key=new_keys().private_key,
        issuer="https://clerk.bench.example",
        endpoints=[Endpoint(url=endpoint, secrets=(os.environ["CLERK_WEBHOOK_SECRET"],))],
    )
    async with listening(clerk.api.answer, host="127.0.0.1", port=port):
        await clerk.run()


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1]), sys.argv[2]))
