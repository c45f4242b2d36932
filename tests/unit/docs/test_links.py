"""Links between files of the repository lead somewhere, where they are read: beside the code, and on the site."""

import re
from pathlib import Path

from sdktest.rows import each_row

from support.documentation import PAGES, ROOT

_CODE = re.compile(r"^( *)```.*?^\1```$|`[^`\n]*`", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)
_BLOCK = re.compile(r"^( *)```.*?^\1```$", re.MULTILINE | re.DOTALL)


def slug(heading: str) -> str:
    """Return the anchor that GitHub gives a heading, and Sphinx with it (docs/conf.py)."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").strip().lower()
    return re.sub(r"[^\w\- ]", "", text).replace(" ", "-")


def anchors(page: Path) -> set[str]:
    return {slug(heading) for heading in _HEADING.findall(_BLOCK.sub("", page.read_text(encoding="utf-8")))}


@each_row("page", PAGES, ids=str)
def test_its_links_lead_somewhere(page: Path):
    source = _CODE.sub("", (ROOT / page).read_text(encoding="utf-8"))
    broken = []
    for link in _LINK.findall(source):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (ROOT / page).parent / path if path else ROOT / page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)

    assert broken == []


def test_every_page_of_the_site_is_in_its_navigation():
    index = (ROOT / "docs" / "index.md").read_text()
    named = set(re.findall(r"^(?:.* <)?([\w./-]+?)>?$", index, re.MULTILINE))
    pages = {page for page in PAGES if page.parts[0] == "docs" and len(page.parts) == 2 and page.name != "index.md"}

    assert {page.stem for page in pages} <= named
