"""What the console looks like, on a story that is always the same: widths, schemes, screen readers, pictures."""

import base64
import os
import subprocess
from pathlib import Path

import pytest

import devkit.console
from support.console import T0_MS, running_console, tell_story
from support.documentation import ROOT

pytestmark = pytest.mark.programs

PACKAGES = Path(__file__).parents[1] / "node_modules"
PICTURES = ROOT / "docs/_static"
LONG = "user_" + "A" * 123

PLACES = [
    "/",
    "/?outcome=stale",
    "/?users=1",
    "/?q=nobody-has-this",
    "/?q=ada",
    "/?user={ada}",
    "/?user={ada}&delivery=10",
    f"/?user={LONG}",
    "/?user=user_nobody",
]


@pytest.fixture(scope="module")
def told():
    with running_console(now_ms=lambda: T0_MS) as console:
        ada = tell_story(console)
        console.clerk.instance.create(LONG, first_name="A" * 250, email_address=["a" * 60 + "@example.org"])
        console.records.set_problem("PostgreSQL", "cannot be read (OSError)")
        yield console, ada


@pytest.fixture
def visit(tab, told):
    console, ada = told

    def visited(place="/", **look):
        tab.look(**{"width": 1280, **look})
        tab.open(console.url + place.format(ada=ada))
        tab.wait_for("document.querySelector('.live.on') && document.querySelector('main h1')")
        return tab

    yield visited
    tab.command("Emulation.clearDeviceMetricsOverride")
    tab.command("Emulation.setEmulatedMedia", features=[])


AXE = """axe.run(document, {resultTypes: ['violations']}).then((done) => done.violations.map((one) =>
    [one.id, one.nodes.map((node) => node.html + node.failureSummary)]))"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(visit, scheme):
    for place in PLACES:
        tab = visit(place, scheme=scheme)
        tab.run((PACKAGES / "axe-core/axe.min.js").read_text() + "; 0")
        assert tab.run(AXE) == [], place
        if tab.run("Boolean(document.querySelector('.bar button'))"):
            tab.run("document.querySelector('.bar button').click()")
            tab.look(width=390, scheme=scheme)
            assert tab.run(AXE) == [], place


def test_axe_would_find_something(visit):
    tab = visit()
    tab.run((PACKAGES / "axe-core/axe.min.js").read_text() + "; 0")
    tab.run("['aria-label', 'placeholder'].forEach((name) => document.querySelector('input').removeAttribute(name))")
    assert [name for name, _ in tab.run(AXE)] == ["label"]


@pytest.mark.parametrize("place", PLACES)
def test_nothing_is_wider_than_the_screen(visit, place):
    tab = visit(place)
    for width in (390, 768, 1280, 1600):
        tab.look(width=width)
        beyond = tab.run(
            "[...document.querySelectorAll('body *')]"
            f".filter((one) => one.getBoundingClientRect().right > {width} + 0.5 && !one.closest('pre, .hidden'))"
            ".map((one) => one.className || one.tagName)"
        )
        assert tab.run("innerWidth") == width
        assert beyond == [], width
        assert tab.run("document.documentElement.scrollWidth") <= width


def test_an_outage_of_what_is_watched_is_said(visit):
    assert visit().run("document.querySelector('[role=alert]').innerText") == "PostgreSQL cannot be read (OSError)"


PICTURED = {
    "console-light": {"place": "/?user={ada}", "width": 1280, "height": 900, "scheme": "light"},
    "console-dark": {"place": "/", "width": 1280, "height": 900, "scheme": "dark"},
    "console-narrow": {"place": "/?user={ada}&outcome=stale", "width": 390, "height": 844, "scheme": "light"},
}

DIFFERENCE = """(async ([one, other]) => {
    const pixels = async (data) => {
        const image = new Image();
        image.src = `data:image/png;base64,${data}`;
        await image.decode();
        const canvas = new OffscreenCanvas(40, Math.round(40 * image.height / image.width)).getContext('2d');
        canvas.imageSmoothingQuality = 'high';
        canvas.drawImage(image, 0, 0, canvas.canvas.width, canvas.canvas.height);
        return canvas.getImageData(0, 0, canvas.canvas.width, canvas.canvas.height).data;
    };
    const [a, b] = [await pixels(one), await pixels(other)];
    return a.length === b.length ? a.reduce((sum, value, at) => sum + Math.abs(value - b[at]), 0) / a.length : 255;
})"""
"""How far two pictures are apart, seen from afar: fonts differ between machines, the layout does not."""

MOST_APART = 6.0


@pytest.fixture
def picture(visit, told):
    """Return what a place looks like now."""

    def taken(name):
        told[0].records.set_problem("PostgreSQL", None)
        tab = visit(**PICTURED[name])
        tab.wait_for("document.querySelector('.row') && !document.querySelector('[role=alert]')")
        return tab.picture()

    yield taken
    told[0].records.set_problem("PostgreSQL", "cannot be read (OSError)")


def apart(tab, one, other):
    encoded = [base64.b64encode(image).decode() for image in (one, other)]
    tab.open("about:blank")
    tab.wait_for("location.href === 'about:blank'")
    return tab.run(f"{DIFFERENCE}({encoded})")


@pytest.mark.parametrize("name", PICTURED)
def test_it_looks_as_in_the_documentation(tab, picture, name):
    """RENEW_PICTURES=1 takes the pictures again."""
    now = picture(name)
    file = PICTURES / f"{name}.png"
    if os.environ.get("RENEW_PICTURES"):
        file.write_bytes(now)

    assert apart(tab, now, file.read_bytes()) < MOST_APART


def test_a_picture_in_another_scheme_or_of_another_place_is_far_from_it(tab, picture):
    light, dark, narrow = (picture(name) for name in PICTURED)

    assert apart(tab, light, dark) > MOST_APART
    assert apart(tab, light, narrow) > MOST_APART


def test_the_libraries_are_those_of_their_packages():
    page = Path(devkit.console.__file__).parent / "page"
    for name, file in {
        "preact.mjs": "preact/dist/preact.mjs",
        "preact-hooks.mjs": "preact/hooks/dist/hooks.mjs",
        "htm.mjs": "htm/dist/htm.mjs",
    }.items():
        assert (page / "vendor" / name).read_bytes() == (PACKAGES / file).read_bytes(), name


@pytest.mark.parametrize("script", ["app.js", "commands.js"])
def test_the_scripts_can_be_parsed(script):
    text = (Path(devkit.console.__file__).parent / "page" / script).read_bytes()
    checked = subprocess.run(["node", "--input-type=module", "--check"], input=text, capture_output=True, check=False)

    assert checked.returncode == 0, checked.stderr
