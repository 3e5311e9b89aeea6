"""Writes the lock files: what each set of dependencies installs, with every version pinned.

`requirements.lock` is the light set, `requirements-EXTRA.lock` what an extra of `pyproject.toml`
adds to it. The versions are those that are installed here, so that one set of them serves all.
``--check`` writes nothing and fails where a lock file is not what is declared and installed.
"""

import argparse
import re
import sys
import tomllib
from collections.abc import Iterable, Mapping
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent

Closure = dict[str, Distribution]  # by canonical name


def declared() -> tuple[list[Requirement], Mapping[str, list[Requirement]]]:
    """What `pyproject.toml` asks for: without extras, and for each extra."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    return (
        [Requirement(line) for line in project["dependencies"]],
        {name: [Requirement(line) for line in lines] for name, lines in extras.items()},
    )


def closure(requirements: Iterable[Requirement]) -> Closure:
    """The requirements and all that they bring, as installed here. SystemExit names what is not."""
    found: Closure = {}
    seen: set[str] = set()
    waiting = list(requirements)
    while waiting:
        requirement = waiting.pop()
        if str(requirement) in seen:
            continue
        seen.add(str(requirement))
        name = canonicalize_name(requirement.name)
        try:
            installed = distribution(name)
        except PackageNotFoundError:
            sys.exit(f"{requirement} is not installed here: run `make check`, which sets all up.")
        if not requirement.specifier.contains(installed.version, prereleases=True):
            sys.exit(f"{requirement} is asked for, {installed.version} is installed.")
        found[name] = installed
        for line in installed.requires or []:
            further = Requirement(line)
            wanted = [{"extra": extra} for extra in ("", *requirement.extras)]
            if further.marker is None or any(further.marker.evaluate(one) for one in wanted):
                waiting.append(further)
    return found


def lock_files() -> Mapping[str, str]:
    """What every lock file has to hold, by its name."""
    base, extras = declared()
    light = closure(base)
    files = {"requirements.lock": light}
    for name, requirements in extras.items():
        added = closure([*base, *requirements])
        files[f"requirements-{name}.lock"] = {n: d for n, d in added.items() if n not in light}
    return {name: _as_text(found) for name, found in files.items()}


def _as_text(found: Closure) -> str:
    pins = [f"{one.metadata['Name']}=={_public(one.version)}" for one in found.values()]
    return "".join(f"{pin}\n" for pin in sorted(pins, key=str.lower))


def _public(version: str) -> str:
    """Without what names the build (`2.13.0+cpu`): each machine takes its own."""
    return re.sub(r"\+.*", "", version)


def main() -> None:
    """Write the files, or say which are out of date."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    stale: list[str] = []
    for name, text in lock_files().items():
        path = ROOT / name
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            continue
        stale.append(name)
        if not check:
            path.write_text(text, encoding="utf-8")
    if check and stale:
        sys.exit(f"Not as declared and installed: {', '.join(stale)}. Run `make locks`.")


if __name__ == "__main__":
    main()
