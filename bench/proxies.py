"""Proxies in front of an application that answers at once, each with its file of deploy/proxies or a change of it."""

import http.client
import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import yaml
from attrs import frozen

from bench.stage import ISSUER, Child, Stage
from devkit.fake_clerk.tokens import SessionTokens
from devkit.servers.ports import LOOPBACK, free_port
from support.proxies import command, configuration

Edit = Callable[[str], str]

_READY_S = 30
_APPLICATION = "server {{ listen 127.0.0.1:{port}; location / {{ return 200; }} }}"
_CHECKS = {
    "nginx": r"        auth_request /_auth;\n",
    "caddy": r"\t\tforward_auth .*?\n\t\t}\n",
    "traefik": r"      middlewares: \[authenticated\]\n",
}
"""What in each file makes the proxy ask."""


@frozen(kw_only=True)
class Sides:
    """Whom a proxy asks and where it sends requests, both ports; and a token that is good there."""

    service: int
    application: int
    token: str


@contextmanager
def application(stage: Stage) -> Iterator[tuple[int, Child]]:
    """Run nginx, which answers every request with an empty 200."""
    port = free_port()
    folder = stage.folder / f"application-{port}"
    folder.mkdir()
    file = folder / "application.conf"
    file.write_text(_APPLICATION.format(port=port), encoding="utf-8")
    with stage.child(folder.name, command("nginx", folder, file, port), {}, cwd=folder, port=port) as child:
        yield port, child


@contextmanager
def proxy(
    stage: Stage, name: str, sides: Sides, *, active: bool = True, edit: Edit = str
) -> Iterator[tuple[int, Child]]:
    """Run a proxy with its file, `edit`ed, and yield its port as soon as it lets the token in."""
    here = free_port()
    folder = stage.folder / f"{name}-{here}"
    folder.mkdir()
    file = configuration(name, folder, here=here, service=sides.service, application=sides.application, active=active)
    file.write_text(edit(file.read_text(encoding="utf-8")), encoding="utf-8")
    environment = {"HOME": str(folder)}
    with stage.child(folder.name, command(name, folder, file, here), environment, cwd=folder, port=here) as child:
        _wait_until_it_lets_in(here, sides.token, child)
        yield here, child


def asking_nobody(name: str) -> Edit:
    """Return what takes the check out of a proxy's file."""
    if name == "envoy":
        return partial(_with_filters, before_router=[])
    return partial(_replaced, pattern=_CHECKS[name], replacement="")


def asking(path: str, user_header: str = "x_auth_user_id") -> Edit:
    """Return what makes nginx ask a peer: at this path, and for the user's id in this header."""

    def edit(text: str) -> str:
        text = _replaced(text, pattern=r"/v1/verify\?active=true", replacement=path)
        return text.replace("$upstream_http_x_auth_user_id", f"$upstream_http_{user_header}")

    return edit


def verifying_itself(private_key: str, *, cached: int = 0) -> Edit:
    """Return what makes Envoy verify tokens itself, by `jwt_authn`; `cached` is how many of them it remembers."""
    provider: dict[str, Any] = {
        "issuer": ISSUER,
        "local_jwks": {"inline_string": json.dumps(SessionTokens(private_key=private_key, issuer=ISSUER).jwks())},
        "forward": True,
        "require_expiration": True,
        "clock_skew_seconds": 5,
        "claim_to_headers": [
            {"header_name": "x-auth-user-id", "claim_name": "sub"},
            {"header_name": "x-auth-session-id", "claim_name": "sid"},
        ],
    }
    if cached:
        provider["jwt_cache_config"] = {"jwt_cache_size": cached}
    check = {
        "name": "envoy.filters.http.jwt_authn",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
            "providers": {"clerk": provider},
            "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "clerk"}}],
        },
    }
    return partial(_with_filters, before_router=[check])


def _with_filters(text: str, *, before_router: list[dict[str, Any]]) -> str:
    document = yaml.safe_load(text)
    manager = document["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    manager["http_filters"] = [*before_router, manager["http_filters"][-1]]
    return str(yaml.safe_dump(document))


def _replaced(text: str, *, pattern: str, replacement: str) -> str:
    text, found = re.subn(pattern, replacement, text, flags=re.DOTALL)
    if found != 1:
        raise RuntimeError(f"{pattern} is {found} times in the proxy's file")
    return text


def _wait_until_it_lets_in(port: int, token: str, child: Child) -> None:
    """A proxy may listen before it has its routes."""
    deadline = time.monotonic() + _READY_S
    while time.monotonic() < deadline:
        connection = http.client.HTTPConnection(LOOPBACK, port, timeout=5)
        try:
            connection.request("GET", "/", headers={"authorization": f"Bearer {token}"})
            status = connection.getresponse().status
        except OSError:
            status = 0
        finally:
            connection.close()
        if status == http.client.OK:
            return
        time.sleep(0.05)
    raise RuntimeError(f"it lets nobody in ({status}):\n{child.log.read_text(errors='replace')[-3000:]}")
