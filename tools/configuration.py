"""The settings as documents: `.env.example`, and the table in docs/configuration.md."""

import textwrap
from collections.abc import Iterator

from entrypoints.config.settings.catalogue import GROUPS, Variable, variables_of

_TOP = """\
# Copy to .env and fill in what is empty. The environment wins over this file; an empty variable counts as unset.
# A secret may stand in a file instead, as Docker and Kubernetes hand them over: where it says so below, set
# NAME_FILE=/run/secrets/name in place of NAME. `auth-service config` shows what is set, and where."""


def env_example() -> str:
    """Return the file: each variable with a comment; those that have a default are commented out."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield _TOP
    for group, title in GROUPS.items():
        yield f"\n# --- {title} ---"
        for variable in variables_of(group):
            yield ""
            yield from _entry(variable)


def _entry(variable: Variable) -> Iterator[str]:
    yield from textwrap.wrap(_help(variable), 110, initial_indent="# ", subsequent_indent="# ")
    if variable.required and not _is_usable(variable):
        yield f"# {variable.name}={variable.example}"
        yield f"{variable.name}="
    elif variable.required:
        yield f"{variable.name}={variable.example}"
    else:
        yield f"# {variable.name}={variable.default or variable.example}"


def _is_usable(variable: Variable) -> bool:
    """Tell whether the example is a value to begin with; the published example of a secret is refused."""
    try:
        variable.parse(variable.example)
    except ValueError:
        return False
    return True


def _help(variable: Variable) -> str:
    return f"{variable.help} Or {variable.name}_FILE." if variable.in_file else variable.help


def configuration_table() -> str:
    """Return every variable as a row of a Markdown table."""
    rows = ["| variable | default | what it is |", "|---|---|---|"]
    for group, title in GROUPS.items():
        rows.append(f"| **{title}** | | |")
        for variable in variables_of(group):
            default = "required" if variable.required else f"`{variable.default}`" if variable.default else ""
            rows.append(f"| `{variable.name}` | {default} | {_help(variable).replace('|', chr(92) + '|')} |")
    return "\n".join(rows) + "\n"
