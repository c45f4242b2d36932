"""The TypeScript package's own tests that need no vectors: how it fetches keys, and how it stops following topics."""

from pathlib import Path

import pytest

from support.typescript_project import NODES, SDK, run

pytestmark = pytest.mark.programs


@pytest.mark.parametrize("node", NODES.values(), ids=NODES)
@pytest.mark.parametrize("name", ["jwks", "following"])
def test_keys_are_fetched_and_topics_followed_as_in_python(node: str, name: str, package: Path):
    assert package.exists()  # which built what is tested here
    run([node, "--test", f"test/{name}.test.mjs"], SDK)
