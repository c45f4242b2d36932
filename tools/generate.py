"""Write the files that follow from the code, or check that they are current: `python -m tools.generate [--check]`."""

import difflib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from adapters.kafka.asyncapi import document, schemas
from entrypoints.http.openapi.routes import openapi_json
from tools.configuration import configuration_table, env_example
from tools.dashboard import dashboard

ROOT = Path(__file__).parent.parent


def generated() -> Iterator[tuple[Path, str]]:
    yield ROOT / ".env.example", env_example()
    page = ROOT / "docs/configuration.md"
    yield page, _between_markers(page, configuration_table())
    yield ROOT / "docs/openapi.json", openapi_json().decode() + "\n"
    yield ROOT / "docs/asyncapi.json", _json(document())
    for name, schema in schemas().items():
        yield ROOT / f"docs/events/{name}.schema.json", _json(schema)
    yield ROOT / "deploy/observability/grafana/dashboards/auth-service.json", _json(dashboard())


def main() -> int:
    check = "--check" in sys.argv[1:]
    stale = False
    for path, text in generated():
        before = path.read_text() if path.exists() else ""
        if before == text:
            continue
        stale = True
        name = str(path.relative_to(ROOT))
        if check:
            lines = difflib.unified_diff(before.splitlines(), text.splitlines(), name, "from the code", lineterm="")
            print("\n".join([*lines][:40]))
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            print(f"wrote {name}")
    if check and stale:
        print("Generated files are not current: run `make generate` and commit what it writes.")
        return 1
    return 0


def _between_markers(path: Path, text: str) -> str:
    before, start, rest = path.read_text().partition("<!-- configuration: from the settings, by `make generate` -->\n")
    _, end, after = rest.partition("<!-- end of configuration -->\n")
    if not (start and end):
        raise SystemExit(f"{path.name} has lost the markers around its configuration table")
    return f"{before}{start}{text}{end}{after}"


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.exit(main())
