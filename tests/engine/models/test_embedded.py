"""The embedded model's wheel: found, whole, or said to be otherwise."""

from pathlib import Path

import pytest

from bot.engine.models import embedded
from bot.engine.models.embedded import EmbeddedModel, find_embedded
from bot.engine.models.source import SourceKind, identify
from bot.errors import ModelError


def test_it_is_found_and_whole() -> None:
    found = find_embedded()
    found.check_hash()
    source = identify("demo")
    assert (source.kind, source.gguf) == (SourceKind.EMBEDDED, found.path)


def test_a_damaged_wheel_is_named(tmp_path: Path) -> None:
    real = find_embedded()
    copy = tmp_path / real.path.name
    copy.write_bytes(real.path.read_bytes()[:-1])
    cut = EmbeddedModel(copy, real.size, real.sha256)
    with pytest.raises(ModelError, match="should have") as caught:
        cut.check_size()
    assert "make setup" in caught.value.fix
    copy.write_bytes(real.path.read_bytes()[:-1] + b"\xff")
    cut.check_size()
    with pytest.raises(ModelError, match="its hash is wrong"):
        cut.check_hash()


def test_a_missing_wheel_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "PACKAGE", "no-such-package-at-all")
    with pytest.raises(ModelError, match="is not installed") as caught:
        find_embedded()
    assert "make setup" in caught.value.fix
