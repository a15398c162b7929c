"""
Writes the tables of docs/reference/ that describe code: `make reference`.

Each stands between `<!-- generated: NAME -->` and `<!-- end -->`.
"""

import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from keystay_server.control.api import Endpoints, operations
from keystay_server.control.schema.openapi import describe
from keystay_server.telemetry.catalogue import METRICS

REFERENCE = Path(__file__).resolve().parents[1] / "reference"

_BLOCK = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
_METHODS = ("get", "post", "patch", "delete")


class _NoEndpoint:
    """Stands for the handlers: the table is described, not served."""

    def __getattr__(self, name: str) -> object:
        return self


def written(page: str) -> str:
    """The page, with its tables as the code has them now."""
    document = describe(operations(cast("Endpoints", _NoEndpoint())))
    tables = {
        "operations": lambda: _operations(document["paths"]),
        "bodies": lambda: _bodies(document["components"]["schemas"]),
        "metrics": _metrics,
    }

    def table(block: re.Match[str]) -> str:
        return "".join(
            [block[1], "\n", *(f"{line}\n" for line in tables[block[2]]()), block[3]]
        )

    return _BLOCK.sub(table, page)


def _metrics() -> Iterator[str]:
    yield "| metric | kind, labels | |"
    yield "|---|---|---|"
    for metric in METRICS:
        labels = "".join(f", `{label}`" for label in metric.labels)
        yield f"| `{metric.name}` | {metric.kind}{labels} | {metric.meaning} |"
    yield ""


def _operations(paths: Mapping[str, Any]) -> Iterator[str]:
    yield "| operation | request | scope | body | answer |"
    yield "|---|---|---|---|---|"
    for path, item in paths.items():
        for method in filter(item.__contains__, _METHODS):
            yield _operation(f"{method.upper()} {path}", item[method])
    yield ""


def _operation(request: str, described: Mapping[str, Any]) -> str:
    query = [each["name"] for each in described["parameters"] if each["in"] == "query"]
    shown = f"`{request}{'?' * bool(query)}{'&'.join(f'{name}=' for name in query)}`"
    [scope] = [names[0] for needed in described["security"] for names in needed.values()] or [
        "none"
    ]
    body = described.get("requestBody", {"content": {}})["content"]
    status, answer = next(iter(described["responses"].items()))
    cells = (
        f"`{described['operationId']}`: {described['summary'].rstrip('.')}",
        shown,
        scope,
        _link_of(body),
        f"{status} {_link_of(answer.get('content', {}))}".strip(),
    )
    return f"| {' | '.join(cells)} |"


def _link_of(content: Mapping[str, Any]) -> str:
    """The shape of a body, as a link; its media type if it has no shape."""
    for media_type, each in content.items():
        name = _reference(each["schema"])
        return f"[{name}](#{name.lower()})" if name else f"`{media_type}`"
    return ""


def _bodies(schemas: Mapping[str, Any]) -> Iterator[str]:
    for name, schema in sorted(schemas.items(), key=lambda item: item[0] == "Problem"):
        yield f"### {name}\n"
        yield "| field | type | |"
        yield "|---|---|---|"
        yield from _fields(schema)
        yield ""


def _fields(schema: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for name, field in schema.get("properties", {}).items():
        optional = "" if name in schema.get("required", ()) else ", optional"
        described = field.get("description", "").replace("|", "\\|")
        yield f"| `{prefix}{name}` | {_type(field)}{optional} | {described} |"
        inner = field.get("items", field)
        if "properties" in inner:
            suffix = "[]." if "items" in field else "."
            yield from _fields(inner, f"{prefix}{name}{suffix}")


def _type(schema: Mapping[str, Any]) -> str:
    if name := _reference(schema):
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return _either(_type(each) for each in schema["anyOf"])
    match schema.get("type", "any"):
        case "array":
            return f"array of {_type(schema['items'])}"
        case str(kind):
            return kind
        case kinds:
            return _either(kinds)


def _either(kinds: Iterable[str]) -> str:
    return " or ".join(kinds)


def _reference(schema: Mapping[str, Any]) -> str:
    return str(schema.get("$ref", "")).rpartition("/")[2]


def write(folder: Path) -> None:
    """Write the pages that have such tables into this folder."""
    for page in sorted(REFERENCE.glob("*.md")):
        if _BLOCK.search(page.read_text()):
            (folder / page.name).write_text(written(page.read_text()))


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else REFERENCE)
