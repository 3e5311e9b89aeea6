"""Discord's own OpenAPI document, where it is beside the checkout, to check requests against."""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest

OPENAPI = Path(__file__).parents[3] / "shared" / "discord" / "openapi.json"


@cache
def described() -> dict[str, Any]:
    if not OPENAPI.exists():
        pytest.skip("Discord's OpenAPI document is not beside the checkout")
    return json.loads(OPENAPI.read_text("utf-8"))


@cache
def routes() -> list[tuple[str, re.Pattern[str]]]:
    found = []
    for path in described()["paths"]:
        pattern = re.sub(r"\\{[^}]+\\}", "[^/]+", re.escape(path))
        found.append((path, re.compile(pattern + r"\Z")))
    return sorted(found, key=lambda item: item[0].count("{"))


def with_snowflakes_as_text(body: Any) -> Any:
    """discord.py sends some ids as numbers, which Discord takes, but does not list."""
    if isinstance(body, dict):
        return {
            key: str(value)
            if (key == "id" or key.endswith("_id")) and isinstance(value, int)
            else with_snowflakes_as_text(value)
            for key, value in body.items()
        }
    return [with_snowflakes_as_text(item) for item in body] if isinstance(body, list) else body


def check(method: str, path: str, body: object) -> None:
    """Raise jsonschema.ValidationError when Discord's description refuses a body."""
    template = next((name for name, pattern in routes() if pattern.match(path)), None)
    assert template is not None, f"Discord has no {path}"
    operation = described()["paths"][template].get(method.lower())
    assert operation is not None, f"Discord has no {method} {template}"
    if body is None or "requestBody" not in operation:
        return
    schema = dict(operation["requestBody"]["content"]["application/json"]["schema"])
    schema["components"] = described()["components"]
    jsonschema.validate(with_snowflakes_as_text(body), schema, cls=jsonschema.Draft202012Validator)
