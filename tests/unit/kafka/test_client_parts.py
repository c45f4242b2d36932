"""Which parts of aiokafka and FastStream the adapter uses: public ones, and two that it sets."""

import ast
from pathlib import Path

import pytest
from aiokafka.errors import for_code
from aiokafka.producer.sender import AddPartitionsToTxnHandler

from adapters import kafka
from adapters.kafka import failures, state_publisher

FILES = sorted(Path(kafka.__path__[0]).glob("*.py"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_no_private_attribute_or_module_of_a_library_is_used(file):
    """Whatever begins with an underscore is made in the file that uses it."""
    nodes = list(ast.walk(ast.parse(file.read_text())))
    used = {node.attr for node in nodes if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)}
    made = {node.attr for node in nodes if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)}
    made |= {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    made |= {node.target.id for node in nodes if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)}
    modules = {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}

    assert {name for name in used - made if name.startswith("_") and not name.startswith("__")} == set()
    assert [name for name in modules if "._" in name] == []


def test_the_error_that_a_broker_gives_for_an_invalid_record_is_known():
    assert for_code(failures.InvalidRecordError.errno) is failures.InvalidRecordError


def test_the_pause_between_transactions_is_where_the_client_reads_it():
    response = AddPartitionsToTxnHandler.handle_response

    assert "BACKOFF_OVERRIDE" in response.__code__.co_names
    assert response.__globals__["BACKOFF_OVERRIDE"] == 0.002
    assert state_publisher.aiokafka.producer.sender.__dict__ is response.__globals__
