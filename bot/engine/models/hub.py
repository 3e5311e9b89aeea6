"""Models by their Hugging Face id: from the local cache, else downloaded, safetensors only."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# (an edge to a library that is only partly typed)

import re
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bot.engine.models.folder import ModelFolder, read_model_folder
from bot.engine.models.progress import Progress
from bot.errors import ModelError
from bot.invocation import command

# Never a pickle, and nothing from subfolders (other precisions, other libraries).
WANTED = (
    "*.safetensors",
    "*.safetensors.index.json",
    "config.json",
    "generation_config.json",
    "quantize_config.json",
    "tokenizer*",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.*",
)
UNWANTED = ("*/*", "*.py", "*.bin", "*.pt", "*.pth")

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")


def is_hub_id(model: str) -> bool:
    """Whether `model` can be an id (`owner/name`)."""
    return _HUB_ID.fullmatch(model) is not None and ".." not in model


def cached_folder(hub_id: str) -> ModelFolder | None:
    """The folder of a model that was downloaded before, whole; else None."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return read_model_folder(Path(snapshot_download(hub_id, local_files_only=True)))
    except (LocalEntryNotFoundError, HfHubHTTPError, ModelError, OSError, ValueError):
        return None


def not_here(hub_id: str) -> tuple[str, str]:
    """What happened and what to do where a folder or an id of that name is not to be found."""
    return (
        f"There is no folder «{hub_id}», and no model of that name has been downloaded.",
        f"Check MODEL's spelling; {command('model fetch')} asks Hugging Face for it.",
    )


def check_exists(hub_id: str) -> None:
    """Ask the Hub whether it has a model, and lets us have it. Raises ModelError."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import DryRunError, HfHubHTTPError, LocalEntryNotFoundError

    with _telling(hub_id):
        try:
            snapshot_download(hub_id, allow_patterns=["config.json"], dry_run=True)
        except DryRunError as error:
            if isinstance(error.__cause__, HfHubHTTPError):
                raise error.__cause__ from error
            raise LocalEntryNotFoundError(str(error)) from error  # it could not be reached


def download_folder(hub_id: str, progress: Progress) -> Path:
    """Download a model; what an earlier attempt got is not fetched again. Raises ModelError."""
    from huggingface_hub import snapshot_download

    what = f"Downloading {hub_id} from Hugging Face"
    progress(what, None)
    with _telling(hub_id):
        return Path(
            snapshot_download(
                hub_id,
                allow_patterns=list(WANTED),
                ignore_patterns=list(UNWANTED),
                tqdm_class=_bar_class(what, progress),
            )
        )


@contextmanager
def _telling(hub_id: str) -> Generator[None]:
    """Raises ModelError for whatever the library raises."""
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
    )

    try:
        yield
    except GatedRepoError as error:
        raise ModelError(
            f"{hub_id} is only for those who accepted its terms.",
            "Accept them on its Hugging Face page, then run `hf auth login`.",
        ) from error
    except RepositoryNotFoundError as error:
        raise ModelError(
            f"There is no folder «{hub_id}», and Hugging Face has no model of that name.",
            "Check MODEL's spelling; for a private model run `hf auth login`.",
        ) from error
    except (LocalEntryNotFoundError, OfflineModeIsEnabled) as error:
        raise ModelError(
            f"There is no folder «{hub_id}», and the model of that name could not be downloaded: "
            f"Hugging Face cannot be reached.",
            "Check the connection (and that HF_HUB_OFFLINE is not set), or set MODEL to a folder.",
        ) from error
    except (HfHubHTTPError, OSError, ValueError) as error:
        raise ModelError(
            f"Downloading {hub_id} failed: {str(error).splitlines()[0][:300]}",
            "Try again: what is there already is not downloaded twice.",
        ) from error


def _bar_class(what: str, progress: Progress) -> type[Any]:
    """A tqdm that reports to `progress` in place of drawing: the library asks for a class."""
    from tqdm import tqdm

    lock = threading.Lock()
    done: dict[int, tuple[float, float]] = {}

    class Bar(tqdm):  # pyright: ignore[reportMissingTypeArgument, reportUnknownVariableType]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            self._counts_bytes = kwargs.get("unit") == "B"
            kwargs["disable"] = True
            kwargs.pop("name", None)
            super().__init__(*args, **kwargs)
            self._reached = float(kwargs.get("initial") or 0)
            self._whole = float(kwargs.get("total") or 0)

        def update(self, n: float | None = 1) -> bool | None:
            self._reached += n or 0
            self._whole = max(self._whole, float(self.total or 0))
            if self._counts_bytes:
                with lock:
                    done[id(self)] = (self._reached, self._whole)
                    reached = sum(part[0] for part in done.values())
                    whole = sum(part[1] for part in done.values())
                progress(what, min(reached / whole, 1.0) if whole else None)
            return super().update(n)

    return Bar
