"""Expand and contract: a release's migrations leave the code before it at work (docs/zero-downtime.md)."""

import ast
from pathlib import Path

import pytest

VERSIONS = Path(__file__).parents[2] / "src/adapters/postgres/migrations/versions"
MIGRATIONS = sorted(VERSIONS.glob("0*.py"))

TAKES_AWAY = {"drop_table", "drop_column", "rename_table", "alter_column"}
"""What running code may still read or write by its name and type."""

FORBIDS = {"create_unique_constraint", "create_check_constraint", "create_foreign_key", "create_exclude_constraint"}
"""What running code may do and would then be refused."""


def calls_in_upgrade(source):
    upgrade = next(
        node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef) and node.name == "upgrade"
    )
    return [node for node in ast.walk(upgrade) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)]


def breaks(source):
    """Name what an upgrade does that the release before it does not survive."""
    calls = calls_in_upgrade(source)
    made = {text(call.args[0]) for call in calls if call.func.attr == "create_table"}
    for call in calls:
        name = call.func.attr
        about = text(call.args[1]) if name in FORBIDS else text(call.args[0]) if call.args else None
        if name in TAKES_AWAY or (name in FORBIDS and about not in made):
            yield f"{name} {about}"
        if name == "create_index" and keyword(call, "unique") and text(call.args[1]) not in made:
            yield f"unique index {text(call.args[0])}"
        if name == "add_column" and demands_a_value(call.args[1]):
            yield f"add_column {about}: not null without a default"


def demands_a_value(column):
    nullable = next((each.value for each in column.keywords if each.arg == "nullable"), None)
    return isinstance(nullable, ast.Constant) and not nullable.value and not keyword(column, "server_default")


def keyword(call, name):
    return any(each.arg == name for each in call.keywords)


def text(node):
    return node.value if isinstance(node, ast.Constant) else None


def contracts(source):
    """Read `contracts = "…"`: since which release nothing uses what this migration takes away."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "contracts":
            return text(node.value)
    return None


@pytest.mark.parametrize("path", MIGRATIONS, ids=lambda path: path.stem)
def test_a_migration_only_adds_or_says_since_when_nothing_uses_what_it_takes_away(path):
    source = path.read_text()

    assert contracts(source) or [*breaks(source)] == []


@pytest.mark.parametrize(
    "statement",
    [
        'op.drop_column("users", "email")',
        'op.drop_table("relay")',
        'op.alter_column("users", "email", nullable=False)',
        'op.add_column("users", sa.Column("x", sa.Text, nullable=False))',
        'op.create_unique_constraint("users_email_key", "users", ["email"])',
        'op.create_index("i", "users", ["email"], unique=True)',
    ],
)
def test_what_the_code_before_it_would_not_survive_is_found(statement):
    assert len([*breaks(f"def upgrade():\n    {statement}\n")]) == 1


@pytest.mark.parametrize(
    "statement",
    [
        'op.add_column("users", sa.Column("x", sa.Text))',
        'op.add_column("users", sa.Column("x", sa.Text, nullable=False, server_default=""))',
        'op.create_index("i", "users", ["email"])',
        'op.drop_constraint("outbox_dead_id_key", "outbox_dead")',
    ],
)
def test_what_only_adds_or_allows_more_is_not(statement):
    assert [*breaks(f"def upgrade():\n    {statement}\n")] == []
