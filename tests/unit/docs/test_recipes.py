"""docs/recipes.md names every file of a change: each exists, and what the code says of an example is in the list."""

import re

import pytest

from support.documentation import ROOT

RECIPES = dict(
    section.split("\n", 1) for section in (ROOT / "docs/recipes.md").read_text(encoding="utf-8").split("\n## ")[1:]
)
SOURCES = ("src", "sdk/src", "sdk-typescript/src", "devkit/src")
SUFFIXES = {".py", ".html", ".md", ".json", ".java", ".js", ".ts"}
NAMED = re.compile(r"`((?:src|sdk|sdk-typescript|devkit|docs|tests|examples)/[^`\s]*)`")

EXAMPLES = {
    "Keep one more field of a user": (r"\bexternal_id\b", (*SOURCES, "docs", "tests", "sdk/tests/sdktest")),
    "Add an action on a user": (
        r"\bunlock\b|UnlockUser|\bUNLOCK\b",
        (*SOURCES, "docs", "tests", "sdk/README.md", "sdk-typescript/README.md"),
    ),
    "Add an event type": (
        r'\bUserUpdated\b|anomalyze\.user\.updated|"updated":',
        (*SOURCES, "docs", "examples", "tests/support", "sdk/README.md", "sdk-typescript/README.md"),
    ),
    "Add a check of `doctor`": (r'\busers_analyzed\b|[`"]statistics[`"]', (*SOURCES, "docs", "tests")),
}
"""By recipe: what its example is called in code, and where it is looked for."""

NEEDS_NO_CHANGE = {
    "docs/recipes.md": "the page itself",
    "src/application/relay/messages.py": "an example in a docstring",
    "devkit/src/devkit/console/why.py": "outcomes of a delivery, which stay as they are",
    "tests/unit/docs/test_recipes.py": "this test",
    **dict.fromkeys(
        (
            "tests/fixtures/clerk/user.created.docs-overview.json",
            "tests/fixtures/clerk/user.created.event-catalog.json",
            "tests/fixtures/clerk/user.updated.event-catalog.json",
        ),
        "payloads as Clerk documents them",
    ),
}


def named(recipe: str) -> set[str]:
    return set(NAMED.findall(RECIPES[recipe]))


def files_with(example: str, folders: tuple[str, ...]) -> set[str]:
    roots = [ROOT / folder for folder in folders]
    paths = (path for root in roots for path in (root, *root.rglob("*")) if path.is_file())
    return {
        str(path.relative_to(ROOT))
        for path in paths
        if path.suffix in SUFFIXES
        and "node_modules" not in path.parts  # what `make test-programs` installs
        and re.search(example, path.read_text("utf-8"))
    }


def is_named(file: str, names: set[str]) -> bool:
    return file in names or any(name.endswith("/") and file.startswith(name) for name in names)


@pytest.mark.parametrize("recipe", RECIPES)
def test_each_file_it_names_is_there(recipe: str):
    absent = {name for name in named(recipe) if not (ROOT / name).exists()}
    not_folders = {name for name in named(recipe) if name.endswith("/") != (ROOT / name).is_dir()}

    assert named(recipe)
    assert absent == set()
    assert not_folders == set()


@pytest.mark.parametrize("recipe", EXAMPLES)
def test_it_names_each_file_that_the_example_is_in(recipe: str):
    found = files_with(*EXAMPLES[recipe])
    forgotten = {file for file in found - NEEDS_NO_CHANGE.keys() if not is_named(file, named(recipe))}

    assert len(found) > 5
    assert forgotten == set(), f"name these in docs/recipes.md, under {recipe!r}"


def test_every_recipe_is_compared_with_the_code():
    assert EXAMPLES.keys() == RECIPES.keys()


def test_a_file_that_is_left_out_still_has_the_example():
    found = {file for example in EXAMPLES.values() for file in files_with(*example)}

    assert found >= NEEDS_NO_CHANGE.keys()


def test_what_ends_with_a_slash_stands_for_the_files_below():
    assert is_named("src/a/b.py", {"src/a/"})
    assert not is_named("src/ab.py", {"src/a/"})
    assert not is_named("src/a/b.py", {"src/a"})
