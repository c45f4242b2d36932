"""The stand-in's page in a real browser."""

import pytest

from devkit.fake_clerk.defaults import html
from support.clerk_stand_in import SECRET_KEY, running_stand_in

pytestmark = pytest.mark.programs

SERVICE = "http://127.0.0.1:3999"
TABLE = "document.querySelector('#users').innerText"


@pytest.fixture
def clerk():
    with running_stand_in(page=html(secret_key=SECRET_KEY, service=SERVICE)) as running:
        yield running


@pytest.fixture
def opened(tab, clerk):
    tab.open(f"{clerk.url}/")
    tab.wait_for("document.querySelector('#total')?.textContent")
    tab.run("window.confirm = () => true; window.prompt = () => '<i>Augusta</i>'; 0")
    return tab


def press(tab, text):
    tab.run(f"[...document.querySelectorAll('#users button')].find((one) => one.textContent === {text!r}).click()")


def test_a_person_signs_a_user_up_in_and_out_of_existence(opened, clerk):
    opened.run("document.querySelector('#sign-up').email.value = 'ada@example.org'")
    opened.run("document.querySelector('#sign-up').first.value = '<b>Ada</b>'")
    opened.run("document.querySelector('#sign-up button').click()")
    opened.wait_for(f"{TABLE}.includes('ada@example.org')")
    assert "<b>Ada</b>" in opened.run(TABLE)
    (user_id,) = clerk.instance.user_ids()

    press(opened, "Sign in")
    opened.wait_for("document.querySelector('#command').textContent.includes('/v1/me')")
    assert SERVICE in opened.run("document.querySelector('#command').textContent")
    press(opened, "Rename")
    opened.wait_for(f"{TABLE}.includes('<i>Augusta</i>')")
    press(opened, "Ban")
    opened.wait_for(f"{TABLE}.includes('banned')")
    assert clerk.instance.get(user_id)["banned"] is True
    press(opened, "Sign in")
    opened.wait_for("document.querySelector('#problem').textContent.includes('banned')")
    press(opened, "Delete")
    opened.wait_for(f"{TABLE}.trim() === ''")
    assert len(clerk.instance) == 0


def test_many_users_are_paged_and_searched(opened, clerk):
    clerk.instance.seed(45)
    opened.wait_for("document.querySelectorAll('#users tr').length === 20")
    opened.run("document.querySelector('#older').click(); document.querySelector('#older').click()")
    opened.wait_for("document.querySelectorAll('#users tr').length === 5")

    opened.run("search = document.querySelector('#search'); search.query.value = 'user44@'")
    opened.run("search.dispatchEvent(new Event('input'))")
    opened.wait_for(f"{TABLE}.includes('user44@example.org') && document.querySelectorAll('#users tr').length === 1")
