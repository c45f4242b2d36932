"""`/schema` in a real browser: what it shows, and that it asks nobody but the service."""

from urllib.parse import urlsplit

import pytest

from entrypoints.http.openapi import reference
from support.http_process import start, wait_until_it_answers

pytestmark = pytest.mark.programs


@pytest.fixture(scope="module")
def service():
    served = start("--workers=1")
    wait_until_it_answers(served)
    yield served
    served.stop()


@pytest.fixture(scope="module")
def opened(tab, service):
    """The page, and all that it showed on the way to its end: what is out of sight is not rendered."""
    tab.command("Emulation.setDeviceMetricsOverride", width=1280, height=900, deviceScaleFactor=1, mobile=False)
    tab.open(f"{service.url}/schema")
    tab.wait_for("document.body?.innerText.includes('Receive a Clerk webhook')")
    seen = tab.run("""(async () => {
        let seen = ''
        for (let y = 0; y < document.documentElement.scrollHeight; y += 700) {
            scrollTo(0, y)
            await new Promise(done => setTimeout(done, 60))
            seen += document.body.innerText
        }
        return seen
    })()""")
    return tab, seen


def test_no_request_leaves_the_origin_and_the_policy_is_kept(opened, service):
    tab, _ = opened
    tab.run("0")  # takes in what the browser has to report
    asked = {
        event["params"]["request"]["url"] for event in tab.events if event["method"] == "Network.requestWillBeSent"
    }
    parts = [urlsplit(url) for url in asked if not url.startswith("data:")]

    assert {part.netloc for part in parts} == {urlsplit(service.url).netloc}
    assert {part.path for part in parts} == {"/schema", "/schema/openapi.json", reference.SCRIPT}
    assert tab.complaints() == []
