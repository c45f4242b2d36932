"""Each decision has a status and a date, and the list of decisions agrees with the pages."""

import re

from sdktest.rows import each_row

from support.documentation import ROOT

FOLDER = ROOT / "docs/adr"
PAGES = sorted(FOLDER.glob("0*.md"))
STATUS = re.compile(r"\*\*Status\.\*\* (?P<status>Accepted|Superseded by (?P<by>\d{4})), (?P<date>20\d\d-\d\d-\d\d)\.")


@each_row("page", PAGES, ids=lambda page: page.stem)
def test_a_decision_has_a_title_then_a_status_and_a_date(page):
    title, blank, status = page.read_text().splitlines()[:3]
    match = STATUS.match(status)

    assert title.startswith(f"# {page.name[:4]} ")
    assert blank == ""
    assert match, status
    assert match["by"] is None or (list(FOLDER.glob(f"{match['by']}-*.md")) and match["by"] > page.name[:4])


def test_the_list_has_every_decision_with_its_title_status_and_date():
    rows = [line.strip("| ").split(" | ") for line in (FOLDER / "README.md").read_text().splitlines() if "](0" in line]
    pages = []
    for page in PAGES:
        text = page.read_text()
        match = STATUS.search(text)
        title = text.splitlines()[0].removeprefix(f"# {page.name[:4]} ")
        pages.append([f"[{page.name[:4]}]({page.name})", title, match["status"].lower(), match["date"]])

    assert rows == pages
