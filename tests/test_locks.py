"""What is imported is declared, what is declared is pinned, and the light set is light."""

import ast
import importlib.util
import sys
from importlib.metadata import packages_distributions
from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
OURS = {"bot", "cogs"}
# What a benchmark compares with, in a process of its own that may have another Python and torch.
PEERS = {"vllm"}
# It comes with torch's builds for CUDA, in their version, and with no other: it cannot be declared.
WITH_TORCH = {"triton"}
HEAVY = {
    *("torch", "transformers", "gptqmodel", "optimum", "accelerate", "safetensors", "tokenizers"),
    *("sentencepiece", "numpy", "gguf", "pandas", "pyarrow", "datasets", "triton"),
    *("pytest", "ruff", "pyright", "simcord", "hypothesis", "playwright"),
}


def _scripts_locks() -> ModuleType:
    spec = importlib.util.spec_from_file_location("locks", ROOT / "scripts" / "locks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def pins(name: str) -> dict[str, str]:
    """The versions that a lock file names."""
    found: dict[str, str] = {}
    for line in (ROOT / name).read_text().splitlines():
        package, _, version = line.partition("==")
        assert version, f"{name}: {line} is not pinned"
        found[canonicalize_name(package)] = version
    return found


def imported(folder: Path) -> set[str]:
    """The top-level modules that the files below a folder import, late or not."""
    found: set[str] = set()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.partition(".")[0])
    return found - set(sys.stdlib_module_names) - OURS


def test_the_lock_files_are_what_is_declared_and_installed() -> None:
    for name, text in _scripts_locks().lock_files().items():
        assert (ROOT / name).read_text(encoding="utf-8") == text, f"{name}: run `make locks`"


def test_all_sets_agree_on_versions() -> None:
    seen: dict[str, str] = {}
    for path in sorted(ROOT.glob("requirements*.lock")):
        for package, version in pins(path.name).items():
            assert seen.setdefault(package, version) == version, package


def test_every_extra_has_its_lock_file_and_no_other_is_there() -> None:
    _, extras = _scripts_locks().declared()
    found = {path.name for path in ROOT.glob("requirements-*.lock")}
    assert found == {f"requirements-{name}.lock" for name in (*extras, "model")}


def test_the_light_set_holds_nothing_of_the_others() -> None:
    light = pins("requirements.lock")
    assert not light.keys() & {canonicalize_name(name) for name in HEAVY}
    for path in ROOT.glob("requirements-*.lock"):
        assert not light.keys() & pins(path.name).keys(), path.name


@pytest.mark.parametrize("folder", ["bot", "cogs", "migrations"])
def test_what_is_imported_is_declared(folder: str) -> None:
    base, extras = _scripts_locks().declared()
    everything: list[Requirement] = [*base]
    for name in extras.keys() - {"dev"}:
        everything += extras[name]
    declared = {canonicalize_name(requirement.name) for requirement in everything}
    distributions = packages_distributions()
    for module in imported(ROOT / folder) - WITH_TORCH - PEERS:
        names = {canonicalize_name(name) for name in distributions.get(module, [])}
        assert names & declared, f"{module} is imported in {folder}/ and not declared"
