"""Names are imported from the module that defines them."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]


def _borrowed(module: Path) -> dict[str, str]:
    """The names that a module imports from others of ours, and from which."""
    nodes = ast.walk(ast.parse(module.read_text("utf-8")))
    imports = [one for one in nodes if isinstance(one, ast.ImportFrom)]
    return {
        name.asname or name.name: one.module
        for one in imports
        if one.module is not None and one.module.split(".")[0] in ("bot", "cogs")
        for name in one.names
    }


def test_nobody_imports_a_name_from_where_it_is_only_imported_itself() -> None:
    files = sorted((ROOT / "cogs").rglob("*.py"))
    modules = {".".join(one.relative_to(ROOT).with_suffix("").parts): one for one in files}
    borrowed = {name: _borrowed(path) for name, path in modules.items()}
    handed_on = [
        f"{importer}: {name} is from {borrowed[module][name]}, not {module}"
        for importer, names in borrowed.items()
        for name, module in names.items()
        if name in borrowed.get(module, {})
    ]
    assert not handed_on
