"""What a capability needs from outside is in one file: `application/<capability>/ports.py`."""

import ast
from pathlib import Path

SRC = Path(__file__).parents[2] / "src"


def classes_in(folder: str) -> dict[tuple[str, str], ast.ClassDef]:
    return {
        (str(path.relative_to(SRC)), node.name): node
        for path in sorted((SRC / folder).rglob("*.py"))
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef)
    }


def methods_of(node: ast.ClassDef) -> set[str]:
    return {each.name for each in node.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)}


PROTOCOLS = {
    (path, name): methods_of(node)
    for (path, name), node in classes_in("application").items()
    if any(isinstance(base, ast.Name) and base.id == "Protocol" for base in node.bases)
}
ADAPTERS = {name: methods_of(node) for (_, name), node in classes_in("adapters").items()}


def test_a_port_that_an_adapter_implements_is_in_the_ports_of_its_capability():
    elsewhere = {key: methods for key, methods in PROTOCOLS.items() if not key[0].endswith("/ports.py")}

    implemented = {key: [name for name in ADAPTERS if methods <= ADAPTERS[name]] for key, methods in elsewhere.items()}

    assert {key: names for key, names in implemented.items() if names} == {}


def test_what_is_in_ports_is_implemented_by_an_adapter():
    ports = {name: methods for (path, name), methods in PROTOCOLS.items() if path.endswith("/ports.py")}

    assert [name for name, methods in ports.items() if not any(methods <= each for each in ADAPTERS.values())] == []
    assert len(ports) > 10
