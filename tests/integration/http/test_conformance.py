"""`auth-service conformance tokens` against this service: both are processes, with a key in a file or a key set."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from devkit.local.keys import new_keys, public_half
from devkit.servers.ports import free_port
from support.web import ISSUER, PARTY

AUTH_SERVICE = str(Path(sys.executable).with_name("auth-service"))


@pytest.mark.parametrize("keys", ["one key", "a key set"])
def test_this_service_decides_every_class_as_it_must(keys, serve, tmp_path):
    key = tmp_path / "key.pem"
    key.write_text(new_keys().private_key)
    jwks_port = free_port()
    if keys == "one key":
        trust = {"CLERK_JWT_KEY": public_half(key.read_text())}
    else:
        trust = {"CLERK_JWT_KEY": "", "CLERK_JWKS_URL": f"http://127.0.0.1:{jwks_port}/.well-known/jwks.json"}
    url = f"{serve('--workers=1', **trust).url}/v1/verify"
    done = subprocess.run(
        [
            *(AUTH_SERVICE, "conformance", "tokens", url, "--key", str(key), "--jwks-port", str(jwks_port)),
            *("--issuer", ISSUER, "--azp", PARTY, "--json"),
        ],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    found = json.loads(done.stdout)

    assert found["keys"].startswith(keys)
    assert found["sent"] > 280
    for kind in ("wrongly_accepted", "wrongly_refused", "answered_with_5xx", "not_answered"):
        assert found[kind] == {}
    assert done.returncode == 0
