"""The authorities that HTTP clients trust, read once in a process of tests.

httpx reads its file of authorities for each client, also for one that asks without TLS: 20 ms of CPU, some thousand
times in a run. Here clients share what was read; none of them changes it.
"""

import ssl
from functools import cache
from typing import Any

import certifi

_create = ssl.create_default_context


@cache
def _of_httpx() -> ssl.SSLContext:
    return _create(cafile=certifi.where())


def create_default_context(purpose: ssl.Purpose = ssl.Purpose.SERVER_AUTH, **files: Any) -> ssl.SSLContext:
    """Take the place of `ssl.create_default_context`: what httpx asks for without being told otherwise is shared."""
    if purpose is ssl.Purpose.SERVER_AUTH and files == {"cafile": certifi.where()}:
        return _of_httpx()
    return _create(purpose, **files)
