"""The documentation site, which `make docs` has made, in a real browser."""

from pathlib import Path

import pytest

pytestmark = pytest.mark.programs

SITE = Path(__file__).parents[4] / "var/site"
BEYOND = """[...document.querySelectorAll('article table, article pre, article img')]
    .filter((one) => one.getBoundingClientRect().right > innerWidth)
    .filter((one) => !one.closest('.table-wrapper, pre, p, div.highlight'))
    .map((one) => one.outerHTML.slice(0, 80))"""


@pytest.fixture
def on_screen(tab):
    def opened(page, *, width, scheme="light"):
        tab.look(width=width, scheme=scheme)
        tab.open((SITE / page).as_uri())
        tab.wait_for(f"location.pathname.endsWith({page!r}) && document.readyState === 'complete'")
        return tab

    yield opened
    tab.command("Emulation.clearDeviceMetricsOverride")
    tab.command("Emulation.setEmulatedMedia", features=[])


@pytest.mark.parametrize("page", sorted(str(path.relative_to(SITE)) for path in SITE.glob("**/docs/*.html")))
def test_no_page_is_wider_than_the_screen(on_screen, page):
    tab = on_screen(page, width=1200)
    for width in (1200, 390):
        tab.look(width=width)
        assert tab.run("innerWidth") == width
        assert tab.run("document.documentElement.scrollWidth") <= width
        assert tab.run(BEYOND) == [], width


def test_the_table_of_variables_shows_all_of_itself_on_a_laptop(on_screen):
    tab = on_screen("docs/configuration.html", width=1200)
    hidden = (
        "[...document.querySelectorAll('.table-wrapper')].filter((one) => one.scrollWidth > one.clientWidth).length"
    )

    assert tab.run(hidden) == 0


def test_diagrams_can_be_read_on_a_phone(on_screen):
    tab = on_screen("docs/concepts.html", width=390)
    image = "document.querySelector('img[src$=\".svg\"]')"

    assert tab.run(f"{image}.decode().then(() => {image}.getBoundingClientRect().width)") >= 600
    assert tab.run(f"getComputedStyle({image}.parentElement).overflowX") == "auto"


@pytest.mark.parametrize("diagram", sorted(path.name for path in (SITE / "_images").glob("*.svg")))
def test_a_diagram_has_colours_of_its_own_in_the_dark(on_screen, diagram):
    card = "getComputedStyle(document.querySelector('.card')).fill"
    light, dark = (on_screen(f"_images/{diagram}", width=1200, scheme=scheme).run(card) for scheme in ("light", "dark"))

    assert (light, dark) == ("rgb(255, 255, 255)", "rgb(19, 20, 22)")
