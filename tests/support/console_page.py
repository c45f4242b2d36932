"""The console's page in a browser: its rows, and what is done there by keyboard or copied."""

import json
from typing import Any

from support.browser import Tab

ROWS = "[...document.querySelectorAll('.rows .row')].map((one) => one.innerText.replaceAll('\\n', ' | '))"


def rows(tab: Tab, *texts: str) -> Any:
    """Return the rows when the newest one has each of the texts."""
    wanted = json.dumps(texts)
    tab.wait_for(f"{ROWS}[0] && {wanted}.every((text) => {ROWS}[0].includes(text))")
    return tab.run(ROWS)


def settled(tab: Tab) -> None:
    """Return when nothing of the user on the page is under way."""
    tab.wait_for(
        "document.querySelector('.version .badge.published') && !document.querySelector('.version .badge.waiting')"
    )


def act(tab: Tab, name: str, text: str, *, value: str | None = None, results: int = 1) -> None:
    """Do something by keyboard, and return when its result is shown where it was done."""
    field = "button.main" if value is None else "input"
    tab.tab_to(name)
    tab.press("Enter")
    tab.wait_for(f"document.activeElement.closest('.panel') && document.activeElement.matches({field!r})")
    if value is not None:
        tab.write(value)
    tab.press("Enter")
    result = "(document.querySelector('.panel .result')?.innerText ?? '')"
    items = "document.querySelectorAll('.panel .result li').length"
    tab.wait_for(f"{result}.includes({text!r}) && {items} >= {results}")
    tab.press("Escape")
    tab.wait_for("!document.querySelector('.panel') && document.activeElement.closest('.bar')")


def copied(tab: Tab, program: str) -> str:
    """Copy by the button, and return what the clipboard holds."""
    tab.run("window.copied = null; navigator.clipboard.writeText = async (text) => { window.copied = text; }; 0")
    tab.wait_for(f"[...document.querySelectorAll('.copy button')].some((one) => one.innerText === 'Copy as {program}')")
    tab.run(
        f"[...document.querySelectorAll('.copy button')].find((one) => one.innerText === 'Copy as {program}').click()"
    )
    tab.wait_for("window.copied")
    return str(tab.run("window.copied"))
