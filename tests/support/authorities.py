"""The authorities that HTTP clients trust, read once in a process of tests.

httpx reads its file of authorities for each client, also for one that asks without TLS: 20 ms of CPU, some thousand
times in a run. Here clients share what was read; none of them changes it.
"""

import os
import ssl
from functools import cache
from typing import Any

import certifi

_create = ssl.create_default_context
_FILES = {certifi.where(), os.environ.get("SSL_CERT_FILE")} - {None}
"""Those of httpx, and of this machine."""


@cache
def _shared(file: str) -> ssl.SSLContext:
    return _create(cafile=file)


def create_default_context(purpose: ssl.Purpose = ssl.Purpose.SERVER_AUTH, **files: Any) -> ssl.SSLContext:
    """Take the place of `ssl.create_default_context`: what httpx asks for without being told otherwise is shared."""
    if purpose is ssl.Purpose.SERVER_AUTH and files.keys() == {"cafile"} and files["cafile"] in _FILES:
        return _shared(files["cafile"])
    return _create(purpose, **files)
