"""Each check of `doctor` has an entry in the documentation, which exists."""

import ast
from collections.abc import Iterator
from pathlib import Path

from sdktest.rows import each_row

from application.doctor.runbooks import RUNBOOKS
from support.documentation import ROOT
from unit.docs.test_links import anchors

MODULES = [
    *ROOT.glob("src/application/doctor/*.py"),
    *ROOT.glob("src/entrypoints/cli/doctor/*.py"),
    ROOT / "src/entrypoints/http/routes/health.py",  # whose checks `doctor` reports as `serve: …`
]
NAMING = {"Finding", "not_checked", "finding", "_Check", "lately"}  # functions whose first argument is the check
COMPUTED = {
    ("findings.py", "check"),  # a parameter: its callers are looked at
    ("serving.py", "f'serve: {name}'"),
    ("health.py", "name"),  # tests/unit/http/test_health.py compares what an answer has
}


def checks(module: Path) -> Iterator[str | tuple[str, str]]:
    """Return the name of each check; of one that is computed, the file and the expression."""
    nodes = [*ast.walk(ast.parse(module.read_text(encoding="utf-8")))]
    assigned = {ast.unparse(node.targets[0]): node.value for node in nodes if isinstance(node, ast.Assign)}
    for call in (node for node in nodes if isinstance(node, ast.Call)):
        if ast.unparse(call.func).rpartition(".")[2] in NAMING:
            named = [*call.args, *(each.value for each in call.keywords if each.arg == "check")][0]
            name = assigned.get(ast.unparse(named), named)
            if isinstance(name, ast.Constant):
                yield str(name.value)
            else:
                yield module.name, ast.unparse(name)


FOUND = {check for module in MODULES for check in checks(module)}


def test_every_check_has_an_entry():
    computed = {check for check in FOUND if not isinstance(check, str)}

    assert FOUND - computed - set(RUNBOOKS) == set()
    assert computed == COMPUTED


def test_every_entry_is_of_a_check():
    assert set(RUNBOOKS) - FOUND == {"events"}  # computed, in health.py


@each_row("link", sorted(set(RUNBOOKS.values())))
def test_a_link_names_a_page_and_a_heading(link):
    page, _, heading = link.partition("#")

    assert heading in anchors(ROOT / "docs" / page)
