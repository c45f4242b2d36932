"""Whatever path a client writes: the rule that is applied is that of the route that runs."""

import asyncio
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from anomalyze_auth import PUBLIC, REQUIRED, PemKey, SessionVerifier
from sdktest.path_apps import PATH_APPS, protected, write_files
from sdktest.rows import each_row
from sdktest.scopes import as_granian, as_the_specification_allows, as_uvicorn
from sdktest.tokens import ISSUER, pem

RULES = ["/health", "/admin/*", "/admin/open", "/files/*", "/files/x/*", "/mnt/*", "/static/private/*", "/x"]


def rule_of(ran: str) -> str | None:
    """The rule for the path that a route stands for, worked out by hand; None is the default."""
    first, second, more = (*ran.removeprefix("/").split("/", 2), None, None)[:3]
    match first, second, more:
        case "health" | "x", None | "", None:
            return f"/{first}"
        case "admin", "open", None | "":
            return "/admin/open"
        case "files", "x", _:
            return "/files/x/*"
        case "static", "private", _:
            return "/static/private/*"
        case "admin" | "files" | "mnt", _, _:
            return f"/{first}/*"
    return None


async def answer_of(app: Any, written: dict[str, Any]) -> tuple[int, str]:
    sent: list[dict[str, Any]] = []
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "query_string": b"",
        "headers": [(b"host", b"app.example.com")],
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 80),
        **written,
    }
    messages = iter([{"type": "http.request", "body": b"", "more_body": False}])

    async def receive() -> dict[str, Any]:
        for message in messages:
            return message
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Any) -> None:
        sent.append(message)

    try:
        await app(scope, receive, send)
    except Exception:  # noqa: BLE001  (a framework that gives up reaches no route: a server answers 500)
        assert not sent
        return 500, ""
    body = b"".join(message.get("body", b"") for message in sent[1:])
    return sent[0]["status"], body.decode(errors="replace")


words = st.sampled_from(
    ["health", "admin", "open", "files", "mnt", "static", "public", "private", "a.txt", "b.txt", "x", "api", "a", ""]
)
separators = st.sampled_from(["/", "/", "/", "/", "//", "%2f", "%2F", "\\", "%5c", "/./", "/../", "/%2e%2e/", "%252f"])
oddities = st.sampled_from(
    [
        "",
        "",
        "",
        "",
        "%0A",
        "%0D",
        "%00",
        "%20",
        ";v=1",
        ".",
        "%2e",
        "%252e",
        "%C0%AE",
        "%EF%BC%8F",
        "%E2%80%A8",
        "#",
        "%",
        "%3f",
        "%23",
        "?",
        "%zz",
        "%u002e",
        "%7F",
        "%FF",
        "*",
        ":",
        "~",
    ]
) | st.characters(codec="utf-8").map(lambda sign: quote(sign, safe=""))


@st.composite
def segments(draw: Any) -> str:
    word = draw(words)
    form = draw(st.integers(0, 9))
    if form == 0:
        word = word.upper()
    elif form == 1:
        word = "".join(f"%{ord(sign):02x}" for sign in word)
    return draw(oddities) + word + draw(oddities) if form > 6 else word


@st.composite
def targets(draw: Any) -> str:
    start = draw(st.sampled_from(["/", "/", "/", "/", "//", "", "http://h/", "/api/", "/mnt/"]))
    parts = draw(st.lists(st.tuples(segments(), separators), max_size=5))
    target = start + "".join(word + separator for word, separator in parts)
    return target.removesuffix("/") if draw(st.booleans()) else target


PLAIN = ["/", "/health", "/admin", "/admin/open", "/admin/a", "/files/a/b", "/files/x/a", "/mnt/health", "/mnt", "/x"]
PLAIN += ["/static/public/a.txt", "/static/private/b.txt", "/a/admin", "/x/api/health", "/api/admin", "/other"]


@pytest.fixture(scope="module")
def apps(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    folder: Path = tmp_path_factory.mktemp("static")
    write_files(folder)
    verifier = SessionVerifier(PemKey(pem()), issuer=ISSUER)

    @cache
    def app(framework: str, rule: str | None = None, *, public: bool = True) -> Any:
        if rule is None:
            return PATH_APPS[framework](folder)
        this, others = (PUBLIC, REQUIRED) if public else (REQUIRED, PUBLIC)
        rules = {**dict.fromkeys(RULES, others), rule: this}
        return protected(framework, folder, verifier=verifier, cookies=False, rules=rules, default=others)

    return app


@pytest.mark.parametrize("framework", list(PATH_APPS))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    targets() | st.sampled_from(PLAIN),
    st.sampled_from([as_uvicorn, as_granian, as_the_specification_allows]),
    st.sampled_from(["", "", "/api", "/api/", "/a", "/"]),
    st.sampled_from(RULES),
    st.booleans(),
)
@example("/admin%0A", as_uvicorn, "", "/admin/*", True)
@example("/static/public/../private/b.txt", as_uvicorn, "", "/static/private/*", False)
@example("/static/public/%2e%2e/private/b.txt", as_granian, "", "/static/private/*", False)
@example("/mnt/health", as_uvicorn, "", "/health", True)
@example("/mnt/health", as_the_specification_allows, "", "/health", True)
@example("/mntx", as_uvicorn, "", "/mnt/*", False)
@example("//health", as_uvicorn, "", "/health", True)
@example("//admin/a", as_granian, "", "/admin/*", False)
@example("admin", as_uvicorn, "/api", "/admin/*", False)
@example("/apiadmin/x", as_granian, "/api", "/admin/*", False)
@example("/x/api/health", as_granian, "/api", "/health", True)
@example("/api/health", as_uvicorn, "/api", "/health", True)
@example("/api/health", as_granian, "/api/", "/health", True)
@example("http://h/admin/x", as_uvicorn, "", "/admin/*", False)
@example("/HEALTH", as_uvicorn, "", "/health", True)
async def test_the_rule_that_applies_is_that_of_the_route_that_runs(
    apps,
    framework: str,
    target: str,
    server: Any,
    root: str,
    rule: str,
    public: bool,  # noqa: FBT001
):
    written = server(target, root)
    status, ran = await answer_of(apps(framework), written)
    judged, _ = await answer_of(apps(framework, rule, public=public), written)

    if status == 200 and judged != 400:
        assert (judged == 200) == ((rule_of(ran) == rule) == public), (ran, status, judged)
        assert judged in (200, 401)
    elif status != 200:
        assert judged in (status, 400, 401), (ran, status, judged)


@each_row("framework", list(PATH_APPS))
@each_row("server", [as_uvicorn, as_granian])
@each_row(
    "target",
    [
        "/",
        "/health",
        "/health/",
        "/admin/x",
        "/files/a/b.txt",
        "/files/a%20b/%C3%A9",
        "/files/a%2Fb",
        "/mnt/health",
        "/static/private/b.txt",
        "/files/.well-known/x",
        "/files/a;v=1",
        "/files/100%25",
        "/files/X_y-z~",
        "/files/a+b@c",
    ],
)
async def test_ordinary_paths_are_never_refused(apps, framework: str, server: Any, target: str):
    status, _ = await answer_of(apps(framework, "/x", public=False), server(target, ""))

    assert status < 400
