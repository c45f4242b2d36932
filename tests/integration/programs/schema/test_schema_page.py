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
    """The page, of which all has been in sight: what is not is not rendered."""
    tab.command("Emulation.setDeviceMetricsOverride", width=1280, height=5000, deviceScaleFactor=1, mobile=False)
    tab.open(f"{service.url}/schema")
    tab.wait_for("document.body?.innerText.includes('Receive a Clerk webhook')")
    tab.run("""(async () => {
        for (let y = 0; y < document.documentElement.scrollHeight; y += 4000) {
            scrollTo(0, y)
            await new Promise(done => setTimeout(done, 200))
        }
    })()""")
    return tab


def test_no_request_leaves_the_origin_and_the_policy_is_kept(opened, service):
    opened.run("0")  # takes in what the browser has to report
    asked = {
        event["params"]["request"]["url"] for event in opened.events if event["method"] == "Network.requestWillBeSent"
    }
    parts = [urlsplit(url) for url in asked if not url.startswith("data:")]

    assert {part.netloc for part in parts} == {urlsplit(service.url).netloc}
    assert {part.path for part in parts} == {"/schema", "/schema/openapi.json", reference.SCRIPT}
    assert opened.complaints() == []
