"""How a model of the hub is named: `owner/name`, or `owner/name:FILE` for one file of it."""

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import unquote

_PART = r"[A-Za-z0-9][\w.-]{0,95}"
_ID = re.compile(rf"{_PART}/{_PART}", re.ASCII)
# What a browser's address line shows, or Ollama takes: of a model's page, or of one file of it.
_ADDRESS = re.compile(
    r"(?:https?://)?(?:www\.)?(?:huggingface\.co|hf\.co)/(?P<id>[^/:?#]+/[^/:?#]+)/?"
    r"(?:(?:tree|blob|resolve|raw)/[^/?#]+/?(?P<file>[^?#]*)|:(?P<named>[^?#]+))?(?:[?#].*)?",
    re.IGNORECASE,
)
# Of a file in a repository, each part of its path: nothing hidden, nothing that climbs or that a
# shell, a terminal or another system reads as something else.
_SAFE = re.compile(r"[A-Za-z0-9_][\w.+=, ()\[\]-]*", re.ASCII)
_MOST_PARTS = 8
_MOST_PART_CHARACTERS = 200

# What a GGUF file's name says of how its weights are packed: Q4_K_M, IQ3_XS, BF16.
_QUANTIZATION = re.compile(
    r"(?:^|[-._])((?:IQ|TQ|Q)\d(?:_[A-Z0-9]+)*|BF16|F16|F32)(?=[-._]|$)", re.IGNORECASE
)
_SPLIT = re.compile(r".+-\d{5}-of-\d{5}\.gguf", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class HubName:
    """`id` is `owner/name`; `file` one file of it, or how it is packed, or empty."""

    id: str
    file: str = ""

    def __str__(self) -> str:
        return f"{self.id}:{self.file}" if self.file else self.id

    @property
    def owner(self) -> str:
        """Whose it is."""
        return self.id.partition("/")[0]

    @property
    def name(self) -> str:
        """What they call it."""
        return self.id.partition("/")[2]


def parse_name(text: str) -> HubName | None:
    """What `text` names, or None where it can be no model of the hub.

    The address of a model's page, or of a file of it, is as good as its name.
    """
    text = text.strip()
    if address := _ADDRESS.fullmatch(text):
        file = unquote(address["file"] or "") or address["named"]
        text = f"{address['id']}:{file}" if file else address["id"]
    hub_id, colon, file = text.partition(":")
    if not _ID.fullmatch(hub_id) or ".." in hub_id or hub_id.endswith("."):
        return None
    if colon and not is_safe_path(file):
        return None
    return HubName(hub_id, file)


def is_safe_path(path: str) -> bool:
    """Whether a path that a server names may become one under a folder of ours."""
    parts = path.split("/")
    return len(parts) <= _MOST_PARTS and all(
        len(part) <= _MOST_PART_CHARACTERS
        and _SAFE.fullmatch(part) is not None
        and not part.endswith((".", " "))
        for part in parts
    )


def is_gguf(path: str) -> bool:
    """Whether a file's name is that of a GGUF."""
    return path.lower().endswith(".gguf")


def is_model_gguf(path: str) -> bool:
    """A GGUF, and none of the projectors and importance matrices that lie beside some models."""
    name = PurePosixPath(path).name.lower()
    return is_gguf(path) and not name.startswith("mmproj") and "imatrix" not in name


def is_split(path: str) -> bool:
    """Whether a file is one part of a GGUF in several."""
    return _SPLIT.fullmatch(PurePosixPath(path).name) is not None


def quantization(path: str) -> str:
    """How the weights in a GGUF are packed, by its name and in capitals; empty if it tells not."""
    found = _QUANTIZATION.findall(PurePosixPath(path).name.removesuffix(".gguf"))
    return str(found[-1]).upper() if found else ""
