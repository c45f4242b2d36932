"""How deep public metadata may be nested."""

from typing import Any

MAX_METADATA_DEPTH = 100  # levels of nested objects and lists; consumers of the event parse them recursively


def is_too_deep(metadata: Any) -> bool:
    """Tell whether objects and lists are nested deeper than that, without recursion."""
    level = [metadata]
    for _ in range(MAX_METADATA_DEPTH):
        level = [
            child
            for node in level
            for child in (node.values() if isinstance(node, dict) else node)
            if isinstance(child, (dict, list))
        ]
        if not level:
            return False
    return True
