"""How servers put the target of a request into the scope; `test_paths_on_the_wire.py` asks the real ones."""

from typing import Any
from urllib.parse import unquote


def as_uvicorn(target: str, root: str) -> dict[str, Any]:
    raw = target.partition("?")[0]
    return {"path": root + unquote(raw), "raw_path": (root + raw).encode(), "root_path": root}


def as_granian(target: str, root: str) -> dict[str, Any]:
    raw = target.partition("?")[0].partition("#")[0]
    return {"path": unquote(raw), "raw_path": raw.encode(), "root_path": root}


def as_the_specification_allows(target: str, root: str) -> dict[str, Any]:
    return {"path": as_granian(target, root)["path"], "root_path": root}
