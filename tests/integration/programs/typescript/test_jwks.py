"""The TypeScript package's own tests that need no vectors: how it fetches keys."""

from pathlib import Path

import pytest

from support.typescript_project import NODES, SDK, run

pytestmark = pytest.mark.programs


@pytest.mark.parametrize("node", NODES.values(), ids=NODES)
def test_keys_are_fetched_and_kept_as_in_python(node: str, package: Path):
    assert package.exists()  # which built what is tested here
    run([node, "--test", "test/jwks.test.mjs"], SDK)
