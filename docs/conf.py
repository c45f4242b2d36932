"""Sphinx: the pages are the repository's Markdown files, each where it is, so that a link works here and there.

Its source folder is therefore the root of the repository: `make docs`.
"""

import re
from pathlib import Path

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

_LOADED = re.compile(
    r"""<(?:script|link|img|iframe)\b[^>]*?\b(?:src|href)="((?:https?:)?//[^"]*)|(?:url\(|@import)\s*["']?((?:https?:)?//[^"')]*)"""
)

project = "auth-service"
root_doc = "docs/index"
extensions = ["myst_parser"]
include_patterns = [
    "docs/**",
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "deploy/**/README.md",
    "examples/**/README.md",
    "devkit/README.md",
    "devkit/src/devkit/conformance/README.md",
    "sdk/README.md",
    "sdk/docs/**",
    "sdk-typescript/README.md",
]
exclude_patterns = [".*", "var", "**/node_modules"]
nitpicky = True

myst_heading_anchors = 3
myst_links_external_new_tab = False

highlight_language = "text"
html_theme = "furo"
html_title = "auth-service"
html_extra_path = ["_extra"]
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_show_copyright = False
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {"top_of_page_buttons": []}


def keep_links_to_folders_as_text(app: Sphinx, document: nodes.document) -> None:
    """A folder is a place in the repository, and no page: every other link that leads nowhere is an error."""
    for link in list(document.findall(pending_xref)):
        _, path = app.env.relfn2path(link["reftarget"], app.env.docname)
        if Path(path).is_dir():
            link.replace_self(link.children)


def refuse_what_needs_a_network(app: Sphinx, exception: Exception | None) -> None:
    """Whoever reads the site during an outage, or behind a strict proxy, must have all of it."""
    files = [file for file in sorted(app.outdir.rglob("*")) if file.suffix in {".html", ".css"}]
    loaded = {file.name: found for file in files if (found := _LOADED.findall(file.read_text(encoding="utf-8")))}
    if exception is None and loaded:
        raise ExtensionError(f"pages that load something from elsewhere: {loaded}")


def setup(app: Sphinx) -> None:
    app.connect("doctree-read", keep_links_to_folders_as_text)
    app.connect("build-finished", refuse_what_needs_a_network)
