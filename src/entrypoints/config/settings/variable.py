"""How a variable is declared: a field of its group, with what `catalogue` reads out of the metadata."""

from typing import Any

from attrs import field

from entrypoints.config.written import forgiving


def variable(
    parse: Any,
    help: str,  # noqa: A002  # as argparse, cyclopts and every other reader of options has it
    *,
    example: str | None = None,
    default: Any = None,
    in_file: bool = False,
) -> Any:
    """Declare a variable of a group.

    Args:
        parse: makes the value out of the text; its ValueError says what was expected and never repeats the text.
        help: for `.env.example` and docs/configuration.md.
        example: a text of the right form; the published example of a secret is refused all the same. The default's
            text when left out.
        default: the value, not a text; `NOTHING` where a command that reads it cannot do without.
        in_file: `NAME_FILE` may name a file that holds it instead, as Docker and Kubernetes hand secrets over.
    """
    text = str(default) if example is None else example
    metadata = {"parse": forgiving(parse), "help": help, "example": text, "in_file": in_file}
    return field(default=default, metadata=metadata, kw_only=True)
