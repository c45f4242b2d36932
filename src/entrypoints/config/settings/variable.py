"""How a variable is declared."""

from typing import Any

import typed_settings as ts
from attrs import NOTHING
from typed_settings.constants import METADATA_KEY

from entrypoints.config.written import forgiving


def variable(
    parse: Any,
    help: str,  # noqa: A002  # typed-settings' own word
    *,
    example: str,
    default: Any = NOTHING,
    in_file: bool = False,
) -> Any:
    """Declare a variable of a group.

    Args:
        parse: makes the value out of the text; its ValueError says what was expected and never repeats the text.
        help: for `.env.example` and the README.
        example: a text of the right form; the published example of a secret is refused all the same.
        default: the value, not a text.
        in_file: `NAME_FILE` may name a file that holds it instead, as Docker and Kubernetes hand secrets over.
    """
    metadata = {METADATA_KEY: {"parse": forgiving(parse), "example": example, "in_file": in_file}}
    return ts.option(default=default, help=help, metadata=metadata, kw_only=True)
