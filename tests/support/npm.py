"""Programs from the npm registry: `make test-programs` installs them."""

from pathlib import Path

_FOLDER = Path(__file__).parents[1] / "integration/programs/node_modules"


def node_tool(name: str) -> Path:
    """Return the path of a program."""
    return _FOLDER / ".bin" / name
