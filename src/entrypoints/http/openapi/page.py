"""An OpenAPI document as one HTML page: no script and nothing from elsewhere, so it works behind any firewall."""

import json
from collections.abc import Iterator
from html import escape
from typing import Any

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
details { border: 1px solid #ccc; border-radius: 6px; margin: .5rem 0; padding: .4rem .8rem }
summary { cursor: pointer } code, pre { font: 14px/1.4 ui-monospace, monospace }
pre { background: #f5f5f5; padding: .6rem; overflow-x: auto } table { border-collapse: collapse; width: 100% }
td { border-top: 1px solid #ddd; padding: .3rem .6rem .3rem 0; vertical-align: top }
.method { display: inline-block; min-width: 4rem; font-weight: 700; text-transform: uppercase }
@media (prefers-color-scheme: dark) { body { background: #1b1b1b; color: #ddd } pre { background: #2a2a2a } }
"""


def page(document: dict[str, Any]) -> str:
    """Return the page; whatever the document says is shown as text."""
    info = document["info"]
    return "\n".join(
        [
            f"<!doctype html><html lang=en><meta charset=utf-8><title>{escape(info['title'])}</title>",
            "<meta name=viewport content='width=device-width'>",
            f"<style>{_STYLE}</style><h1>{escape(info['title'])} <small>{escape(info['version'])}</small></h1>",
            f"<p>{escape(info.get('summary', ''))} <a href='/schema/openapi.json'>openapi.json</a></p>",
            *_operations(document["paths"]),
            "<h2>Schemas</h2>",
            *(_schema(name, schema) for name, schema in document["components"]["schemas"].items()),
            "</html>",
        ]
    )


def _operations(paths: dict[str, Any]) -> Iterator[str]:
    for path, item in paths.items():
        for method, operation in item.items():
            yield (
                f"<details id='{escape(operation['operationId'])}'><summary><span class=method>{escape(method)}</span>"
                f"<code>{escape(path)}</code> {escape(operation['summary'])}</summary>"
                f"<p>{escape(operation.get('description') or '')}</p>"
            )
            if parameters := operation.get("parameters"):
                yield "<h3>Parameters</h3><table>"
                for parameter in parameters:
                    yield _row(f"{parameter['name']} ({parameter['in']})", parameter.get("description") or "")
                yield "</table>"
            yield "<h3>Answers</h3><table>"
            for status, response in sorted(operation["responses"].items()):
                yield _row(f"{status} {_shapes(response)}", response["description"], *response.get("headers", {}))
            yield "</table></details>"


def _row(name: str, description: str, *headers: str) -> str:
    listed = f"<br>Headers: {escape(', '.join(headers))}" if headers else ""
    return f"<tr><td><code>{escape(name)}</code><td>{escape(description)}{listed}</tr>"


def _shapes(response: dict[str, Any]) -> str:
    """Name the schemas of the bodies."""
    schemas = [content.get("schema", {}) for content in response.get("content", {}).values()]
    return ", ".join(schema["$ref"].rpartition("/")[2] for schema in schemas if "$ref" in schema)


def _schema(name: str, schema: dict[str, Any]) -> str:
    shown = escape(json.dumps(schema, indent=2, ensure_ascii=False))
    return f"<details id='{escape(name)}'><summary><code>{escape(name)}</code></summary><pre>{shown}</pre></details>"
