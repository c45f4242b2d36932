"""The example page in a real browser, on an origin of its own, against `auth-service serve` on a real PostgreSQL."""

import httpx
import pytest

from devkit.local.frontend import origins, serve_frontend
from devkit.servers.ports import free_port
from support.http_process import start, wait_until_it_answers
from support.http_server import Answer, http_server
from support.users import USER
from support.web import created, deleted, signed, token

pytestmark = pytest.mark.programs

TITLE = "document.querySelector('#answer h2').textContent"
ANSWER = "document.querySelector('#answer').innerText"


@pytest.fixture
def page():
    """The port of the page."""
    return free_port()


@pytest.fixture
def service(page, database_url):
    served = start("--workers=1", DATABASE_URL=database_url, CLERK_AUTHORIZED_PARTIES=",".join(origins(page)))
    wait_until_it_answers(served)
    yield served
    served.stop()


@pytest.fixture
def opened(tab, page, service):
    """The page in the browser, with a button that makes tokens."""
    with serve_frontend(port=page, api=service.url, mint=lambda user: session(page, user)):
        visit(tab, origins(page)[0])
        yield tab


def visit(tab, url):
    tab.events.clear()
    tab.open(url)
    tab.wait_for("document.querySelector('#api')?.textContent")


def session(page, user=USER, **claims):
    return token(user, azp=origins(page)[0], **claims)


def ask(tab, text):
    """Send a token as a person would, and return what the page says then."""
    tab.run(f"document.querySelector('#answer').hidden = true; document.querySelector('#token').value = {text!r}")
    tab.run("document.querySelector('#ask button.main').click()")
    tab.wait_for("!document.querySelector('#answer').hidden")
    return tab.run(ANSWER)


def deliver(service, body):
    httpx.post(f"{service.url}/webhooks/clerk", content=body, headers=signed(body)).raise_for_status()


def test_the_user_is_shown_and_asked_for_again_with_its_etag(opened, page, service):
    deliver(service, created(first_name="<b>Ada</b>", public_metadata={"plan": "pro"}))
    mine = session(page)
    first = ask(opened, mine)

    assert "<b>Ada</b> Lovelace" in first  # as text
    assert "ada@example.org (verified)" in first
    assert '{"plan":"pro"}' in first
    assert "HTTP 200" in first
    assert "HTTP 304" in (second := ask(opened, mine))
    assert "<b>Ada</b> Lovelace" in second
    deliver(service, created(at=1_700_000_001_000, first_name="Grace"))
    third = ask(opened, mine)
    assert "HTTP 200" in third
    assert "Grace Lovelace" in third


def test_the_browser_asks_first_whether_this_origin_may_send_a_token_and_a_condition(opened, page, service):
    deliver(service, created())
    mine = session(page)
    for _ in range(2):
        ask(opened, mine)
    requests = opened.requests(f"{service.url}/v1/me")

    asked_for = [headers["Access-Control-Request-Headers"] for method, headers in requests if method == "OPTIONS"]
    assert asked_for == ["authorization", "authorization,if-none-match"]
    assert [method for method, _ in requests].count("GET") == 2
    assert opened.blocked() == []


def test_the_button_gets_a_token_and_shows_its_user(opened, service):
    deliver(service, created("user_ada"))
    opened.run("document.querySelector('#get-token').click()")
    opened.wait_for(f"{TITLE} === 'Ada Lovelace'")


@pytest.mark.parametrize(
    ("news", "claims", "title", "detail"),
    [
        ([], {"exp": 1}, "You are signed out", "token-expired"),
        ([deleted()], {}, "You are signed out", "user-deleted"),
        ([created(banned=True)], {}, "This account is banned", "user-banned"),
        ([], {}, "Nobody here knows you yet", "user-unknown"),
    ],
    ids=["expired", "deleted", "banned", "unknown"],
)
def test_what_is_wrong_is_said_in_words(opened, page, service, news, claims, title, detail):
    for body in news:
        deliver(service, body)
    shown = ask(opened, session(page, **claims))

    assert title in shown
    assert detail in shown


def test_without_a_token_one_is_signed_out(opened):
    assert "token-missing" in ask(opened, "")


def test_the_next_user_never_sees_the_last_one(opened, page, service):
    deliver(service, created())
    ask(opened, session(page))
    shown = ask(opened, session(page, "user_other"))

    assert "Nobody here knows you yet" in shown
    assert "Ada" not in shown


def test_a_service_without_its_database_is_not_available_and_says_when_to_try_again(tab, page):
    served = start("--workers=1", CLERK_AUTHORIZED_PARTIES=origins(page)[0])
    wait_until_it_answers(served)
    try:
        with serve_frontend(port=page, api=served.url, mint=None):
            visit(tab, origins(page)[0])

            assert tab.run("document.querySelector('#mint').hidden")
            shown = ask(tab, session(page))
    finally:
        served.stop()
    assert "Not available at the moment" in shown
    assert "Try again in 5 s" in shown  # Retry-After is exposed
    gone = ask(tab, session(page))
    assert "No answer" in gone


def test_a_page_of_another_origin_learns_nothing(tab, page, service):
    deliver(service, created())
    other = free_port()
    with serve_frontend(port=other, api=service.url, mint=None):
        visit(tab, origins(other)[0])
        shown = ask(tab, session(page))

    assert "No answer" in shown
    assert f"does not allow this origin (http://localhost:{other})" in shown
    assert "PreflightMissingAllowOriginHeader" in tab.blocked()


def test_a_script_takes_the_token_from_clerk_when_clerk_is_there(opened, page, service):
    deliver(service, created())
    opened.run(f"window.Clerk = {{ session: {{ getToken: async () => {session(page)!r} }} }}")

    assert "Ada Lovelace" in ask(opened, "ignored")


def test_the_page_is_served_to_its_own_names_only(page):
    with serve_frontend(port=page, api="http://127.0.0.1:1", mint=lambda _: "secret"):
        local, rebound = (
            httpx.get(f"http://127.0.0.1:{page}/token?user=user_ada", headers={"host": host})
            for host in (f"localhost:{page}", f"evil.example:{page}")
        )
        outside = httpx.get(f"http://127.0.0.1:{page}/../../../pyproject.toml")

    assert (local.status_code, local.text) == (200, "secret")
    assert rebound.status_code == 403
    assert "secret" not in rebound.text
    assert "access-control-allow-origin" not in local.headers
    assert outside.status_code == 404


def test_a_token_for_what_is_no_user_id_is_refused(page):
    def mint(_):
        raise ValueError("not a Clerk user id")

    with serve_frontend(port=page, api="http://127.0.0.1:1", mint=mint):
        response = httpx.get(f"http://127.0.0.1:{page}/token?user=%00")

    assert (response.status_code, response.text) == (400, "not a Clerk user id\n")


def test_an_answer_that_is_not_ours_is_something_went_wrong(tab, page):
    with (
        http_server(lambda _: Answer(200, {})) as other,
        serve_frontend(port=page, api=other.url, mint=None),
    ):
        visit(tab, origins(page)[0])

        assert "No answer" in ask(tab, "x")


@pytest.mark.parametrize("width", [320, 390, 1600])
def test_nothing_is_wider_than_the_screen(opened, page, service, width):
    opened.command("Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=False)
    deliver(service, created(first_name="A" * 200))
    ask(opened, session(page))
    beyond = opened.run(
        f"[...document.querySelectorAll('body *')].filter((one) => one.getBoundingClientRect().right > {width})"
        ".map((one) => one.tagName)"
    )
    opened.command("Emulation.clearDeviceMetricsOverride")

    assert beyond == []
